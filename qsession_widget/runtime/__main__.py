"""`python -m qsession_widget.runtime`, which `qsession serve` and the client start."""

from __future__ import annotations

import sys

from qsession_widget.runtime import inheritance
from qsession_widget.runtime.control import fork_server


def main() -> int:
    """Run a runtime in the foreground, and return its exit status.

    Workers import Qiskit while the server imports its own modules.
    """
    inheritance.limit()
    if not {"-h", "--help"} & set(sys.argv):
        fork_server.start()
    from qsession_widget.runtime import command  # noqa: PLC0415 - see above

    return command.main()


if __name__ == "__main__":
    raise SystemExit(main())
