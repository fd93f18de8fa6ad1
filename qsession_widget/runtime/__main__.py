"""`python -m qsession_widget.runtime`, which `qsession serve` and the client start."""

from __future__ import annotations

import os
import sys

from qsession_widget.runtime import inheritance
from qsession_widget.runtime.control import fork_server

STORE_VARIABLE = "QSESSION_STORE"
"""Environment variable with the URL of the store, which `--store` precedes."""


def main() -> int:
    """Run a runtime in the foreground, and return its exit status.

    Workers import Qiskit while the server imports its own modules.
    """
    inheritance.limit()
    arguments = sys.argv[1:]
    # It may have a password. Arguments are visible to all users, and workers inherit variables.
    store = os.environ.pop(STORE_VARIABLE, "")
    if store:
        arguments = ["--store", store, *arguments]
    if not {"-h", "--help"} & set(sys.argv):
        fork_server.start()
    from qsession_widget.runtime import command  # noqa: PLC0415 - see above

    return command.main(arguments)


if __name__ == "__main__":
    raise SystemExit(main())
