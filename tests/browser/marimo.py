"""A real marimo that runs an app with a panel."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from tests.conftest import answers_at, free_port, served

if TYPE_CHECKING:
    from collections.abc import Iterator

_APP = """import marimo

app = marimo.App()


@app.cell
def _():
    import marimo as mo
    from qiskit import QuantumCircuit

    from qsession_widget import Sampler, Session, SessionPanel

    session = Session(backend="fake_manila")
    circuit = QuantumCircuit(1)
    circuit.measure_all()
    Sampler(mode=session).run([circuit])
    mo.ui.anywidget(SessionPanel(session))
    return (session,)


"""
_END = """
if __name__ == "__main__":
    app.run()
"""


STATIC = Path(str(files("marimo"))) / "_static"
"""What an exported page loads from a CDN."""


def _write(folder: Path, *cells: str) -> dict[str, str]:
    """Write an app; return the environment in which marimo writes only to its folder."""
    (folder / "app.py").write_text(
        _APP + "\n".join(f"@app.cell\n{cell}\n" for cell in cells) + _END
    )
    own = {"HOME": str(folder), "XDG_CONFIG_HOME": str(folder), "MARIMO_SKIP_UPDATE_CHECK": "1"}
    return {**os.environ, **own}


def export(folder: Path) -> Path:
    """Run an app and return its page as HTML."""
    environment = _write(folder)
    page = folder / "app.html"
    command = [sys.executable, "-m", "marimo", "export", "html", "app.py", "-o", str(page)]
    subprocess.run(command, check=True, env=environment, cwd=folder)  # noqa: S603 - our own command
    return page


@contextmanager
def app(folder: Path, *cells: str) -> Iterator[str]:
    """Run an app, and yield its URL.

    Args:
        folder: for the app and all that marimo writes.
        cells: functions that follow the cell with the panel and may use its `session`.
    """
    environment = _write(folder, *cells)
    port = free_port()
    command = [sys.executable, "-m", "marimo", "run", "app.py", "--headless", "--no-token"]
    url = f"http://127.0.0.1:{port}"
    with served(
        [*command, f"--port={port}"],
        lambda: answers_at(f"{url}/health"),
        folder / "marimo.log",
        environment=environment,
        folder=folder,
    ):
        yield url
