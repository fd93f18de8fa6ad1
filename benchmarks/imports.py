"""What importing costs, beside qiskit-ibm-runtime: `python benchmarks/imports.py`.

Every import is timed in a fresh interpreter, by itself and without the interpreter's own start. The
shortest of several tries is taken, since whatever disturbs a measurement makes it longer. Byte code
is kept, as it is after an installation: the first try writes it. One row is what the names of a
usual program cost over qiskit, which such a program imports itself. The exit status is 1 where
`import qsession_widget` costs a tenth of `import qiskit_ibm_runtime` or more.
"""

from __future__ import annotations

import os
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
BESIDE = "import qiskit"
USUAL = "from qsession_widget import Session, Sampler"
LIMIT = 0.1

_NO_BYTE_CODE = "PYTHONDONTWRITEBYTECODE"

_TIMER = """
import time
{before}
started = time.perf_counter()
{statement}
print(time.perf_counter() - started)
"""


def seconds(statement: str, before: str = "") -> float:
    """Measure an import in a fresh interpreter: the shortest of several tries, in seconds.

    Args:
        statement: the import.
        before: what is imported before, and not timed.
    """
    command = [sys.executable, "-c", _TIMER.format(statement=statement, before=before)]
    keeping = {name: value for name, value in os.environ.items() if name != _NO_BYTE_CODE}
    return min(
        float(
            subprocess.run(command, check=True, capture_output=True, text=True, env=keeping).stdout  # noqa: S603 - our own interpreter and text
        )
        for _ in range(TRIES)
    )


def main() -> int:
    """Print a table, and say whether the limit holds."""
    found = {statement: seconds(statement) for statement in STATEMENTS}
    found[f"{USUAL}, over qiskit"] = seconds(USUAL, BESIDE)
    peer = found[PEER]
    for statement, took in found.items():
        print(f"{statement:<66}{took * 1000:9.1f} ms{took / peer:9.4f}")
    return int(found[STATEMENTS[0]] >= LIMIT * peer)


if __name__ == "__main__":
    sys.exit(main())
