"""What importing costs, beside qiskit-ibm-runtime: `python benchmarks/imports.py`.

Every import is timed in a fresh interpreter, by itself and without the interpreter's own start. The
shortest of several tries is taken, since whatever disturbs a measurement makes it longer. The
exit status is 1 where `import qsession_widget` costs a tenth of `import qiskit_ibm_runtime` or
more.
"""

from __future__ import annotations

import subprocess
import sys

TRIES = 7
PEER = "import qiskit_ibm_runtime"
STATEMENTS = (
    "import qsession_widget",
    "from qsession_widget import Session",
    "from qsession_widget import Session, Sampler, Estimator, Options",
    "import qiskit",
    PEER,
)
LIMIT = 0.1

_TIMER = """
import time
started = time.perf_counter()
{statement}
print(time.perf_counter() - started)
"""


def seconds(statement: str) -> float:
    """Measure an import in a fresh interpreter: the shortest of several tries, in seconds."""
    command = [sys.executable, "-c", _TIMER.format(statement=statement)]
    return min(
        float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)  # noqa: S603 - our own interpreter and text
        for _ in range(TRIES)
    )


def main() -> int:
    """Print a table, and say whether the limit holds."""
    found = {statement: seconds(statement) for statement in STATEMENTS}
    peer = found[PEER]
    for statement, took in found.items():
        print(f"{statement:<66}{took * 1000:9.1f} ms{took / peer:9.4f}")  # noqa: T201 - its output
    return int(found[STATEMENTS[0]] >= LIMIT * peer)


if __name__ == "__main__":
    sys.exit(main())
