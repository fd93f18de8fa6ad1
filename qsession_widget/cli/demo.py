"""`qsession demo`: a session on the local runtime, live in the terminal, then the notebook."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from qsession_widget.errors import QSessionError
from qsession_widget.wire.private_files import close_to_others, make_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from qsession_widget.client.session import Session

BACKEND = "fake_manila"
VQE_STEPS = 40
FOLDER = Path("qsession-demo")
NOTEBOOK = "quickstart.ipynb"


ALLOW_ROOT = "--allow-root"


class ExecutionError(QSessionError):
    """The notebook could not be executed."""


def run(*, headless: bool, jupyter: Sequence[str] = ()) -> int:
    """Run the demo.

    As root, which is usual in containers, JupyterLab runs only with `--allow-root`. Without that
    the notebook is executed as without a terminal, and the command that opens it is printed.

    Args:
        headless: execute the notebook and write it as HTML; do not open JupyterLab.
        jupyter: options that are passed to JupyterLab.

    Returns:
        Exit status.

    Raises:
        ExecutionError: if the notebook fails; the message contains the output of nbconvert.
    """
    console = Console(markup=False, highlight=False)
    console.print("Opening a session on the local runtime, which is started if necessary.\n")
    show_session(console)
    if find_spec("jupyterlab") is None:
        console.print("\nTo open the notebook: pip install 'qsession-widget[lab]'.")
        return 1
    notebook = _notebook()
    refused = os.geteuid() == 0 and not _allows_root(jupyter)
    command = [sys.executable, "-m", "jupyterlab", *jupyter, str(notebook)]
    if not (headless or refused):
        console.print(f"\nOpening JupyterLab on {notebook}. Ctrl-C ends it.", soft_wrap=True)
        # JupyterLab replaces this process, so that Ctrl-C and the terminal are its own.
        os.execv(sys.executable, command)  # noqa: S606 - our own interpreter and module, no shell
    console.print(f"\nExecuting {notebook}; this takes some seconds ...", soft_wrap=True)
    page = execute(notebook, FOLDER.resolve() / "quickstart.html")
    console.print(f"The notebook was executed: {page.as_uri()}", soft_wrap=True)
    if refused:
        command.insert(-1, ALLOW_ROOT)
        why = "JupyterLab runs as root only with --allow-root. To open the notebook in it:"
    else:
        why = "To open the notebook in JupyterLab:"
    # To be copied: on its own line, and never wrapped.
    console.print(f"\n{why}\n{shlex.join(command)}", soft_wrap=True)
    return 0


def show_session(console: Console) -> None:
    """Run a Bell circuit and a small VQE loop in a session, and draw the session meanwhile."""
    # Qiskit takes a second to import; the first line should be on the screen before that.
    from qsession_widget.client.session import Session
    from qsession_widget.panel.terminal import live

    with Session(backend=BACKEND, max_time="30m") as session, live(session, console) as view:
        view.say("A Bell circuit, measured 4096 times with the device's noise ...")
        counts = bell_counts(session)
        view.say(f"Bell: {counts}\nNow a VQE loop: the ground state energy of H2 ...")
        energy = vqe_energy(
            session,
            lambda step, energy: view.say(
                f"Bell: {counts}\nVQE, step {step} of {VQE_STEPS}: {energy:+.4f} hartree"
            ),
        )
        session.close()
        view.say(f"Bell: {counts}\nVQE: {energy:+.4f} hartree (exact: -1.8573)")


def bell_counts(session: Session) -> dict[str, int]:
    """Return the counts of a Bell circuit."""
    from qiskit import QuantumCircuit

    from qsession_widget.client.primitives import Sampler

    circuit = QuantumCircuit(2, name="bell")
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.measure_all()
    result = Sampler(mode=session).run([circuit]).result()
    counts: dict[str, int] = result[0].data.meas.get_counts()
    return dict(sorted(counts.items()))


def vqe_energy(session: Session, on_step: Callable[[int, float], None]) -> float:
    """Minimise the energy of the hydrogen molecule (two qubits, 0.735 angstrom)."""
    from qiskit.circuit.library import efficient_su2
    from qiskit.quantum_info import SparsePauliOp
    from scipy.optimize import minimize

    from qsession_widget.client.primitives import Estimator

    hamiltonian = SparsePauliOp.from_list(
        [
            ("II", -1.052373245772859),
            ("IZ", 0.39793742484318045),
            ("ZI", -0.39793742484318045),
            ("ZZ", -0.01128010425623538),
            ("XX", 0.18093119978423156),
        ]
    )
    ansatz = efficient_su2(2, su2_gates=["ry"], reps=1)
    estimator = Estimator(mode=session)
    energies: list[float] = []

    def energy(values: list[float]) -> float:
        job = estimator.run([(ansatz, hamiltonian, values)], precision=0.02)
        energies.append(float(job.result()[0].data.evs))
        on_step(len(energies), energies[-1])
        return energies[-1]

    minimize(
        energy, [3.0, 0.0, 0.1, 0.1], method="COBYLA", options={"maxiter": VQE_STEPS, "rhobeg": 0.3}
    )
    return min(energies)


def execute(notebook: Path, page: Path) -> Path:
    """Execute a notebook and write it as one HTML file that can be read without scripts.

    Raises:
        ExecutionError: if a cell or nbconvert fails.
    """
    make_folder(page.parent)
    # Without the widgets' state the page shows their static HTML, which needs no network.
    done = subprocess.run(  # noqa: S603 - our own interpreter and module, no shell
        [
            sys.executable,
            *("-m", "nbconvert", str(notebook), "--to", "html", "--execute"),
            "--ExecutePreprocessor.store_widget_state=False",
            *("--output-dir", str(page.parent), "--output", page.name),
        ],
        check=False,
        env={**os.environ, "JUPYTER_PLATFORM_DIRS": "1"},
        # Its output and the kernel's are needed only if something goes wrong.
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    if done.returncode:
        raise ExecutionError(f"{notebook} could not be executed:\n{done.stdout.rstrip()}")
    close_to_others(page)
    return page


def _allows_root(jupyter: Sequence[str]) -> bool:
    """Whether options let JupyterLab run as root, in either spelling."""
    return any(
        option == ALLOW_ROOT or option.lower().replace(" ", "").endswith("allow_root=true")
        for option in jupyter
    )


def _notebook() -> Path:
    """Return the notebook of this clone, or a copy of the installed one."""
    cloned = Path(__file__).parents[2] / "examples" / NOTEBOOK
    if cloned.is_file():
        return cloned
    make_folder(FOLDER.absolute())
    copy = FOLDER.resolve() / NOTEBOOK
    packaged = resources.files("qsession_widget") / "examples" / NOTEBOOK
    with resources.as_file(packaged) as original:
        shutil.copyfile(original, copy)
    close_to_others(copy)
    return copy
