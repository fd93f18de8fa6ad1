"""Executes the example notebooks, and writes their outputs: `python -m tests.examples.notebooks`.

Ids, addresses and measured times differ at each execution. Outputs that differ in nothing else are
not written, so that a change of a notebook shows what has changed.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
from nbclient import NotebookClient

from qsession_widget.errors import ServiceUnavailableError
from qsession_widget.local import process
from qsession_widget.local.admin import Administration

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

FOLDER = Path(__file__).parents[2] / "examples"
NAMES = tuple(sorted(path.stem for path in FOLDER.glob("*.ipynb")))

_KERNELS = 2
"""How many notebooks are executed at once."""
_CELL_SECONDS = 120
WIDGET = "application/vnd.jupyter.widget-view+json"
"""The MIME type of a widget. Its state is not kept, and without it the widget is nothing."""
_PICTURE = "image/svg+xml"
_INSTEAD = (
    "A picture. JupyterLab shows it in a notebook that is trusted (File > Trust Notebook), or has "
    "been run."
)
"""What a page shows that takes no SVG from others; IPython's text is the name of a class."""

_NOISE = (
    (re.compile(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"), "SESSION"),
    (re.compile(r"\b[0-9a-f]{20}\b"), "JOB"),
    (re.compile(r"127\.0\.0\.1:\d+"), "ADDRESS"),
    (re.compile(r"\d{4}-\d\d-\d\d[ T]?"), "DATE "),
    (re.compile(r"\b\d\d:\d\d(:\d\d)?(\.\d+)?( UTC)?"), "TIME"),
    (re.compile(r"\b[\d.,]+ (ms|s|min|h)\b"), "DURATION"),
)
"""What differs between two executions, in the static HTML of a panel and elsewhere."""


@dataclass(frozen=True)
class Executed:
    """A notebook after its execution.

    Attributes:
        notebook: with its outputs.
        open_sessions: ids of the sessions that it has left open.
        secrets: the token of the runtime that it used.
    """

    notebook: Any
    open_sessions: list[str]
    secrets: list[str]


def path_of(name: str) -> Path:
    """Return the path of a notebook."""
    return FOLDER / f"{name}.ipynb"


def execute(name: str) -> Executed:
    """Execute a notebook from a clean kernel, on a runtime and with a home folder of its own.

    Raises:
        nbclient.exceptions.CellExecutionError: if a cell fails, unless it is tagged
            "raises-exception".
    """
    notebook = nbformat.read(path_of(name), as_version=4)
    with tempfile.TemporaryDirectory(prefix="example-") as folder:
        home = Path(folder) / "qsession"
        environment = {
            key: value for key, value in os.environ.items() if not key.startswith("QISKIT_IBM_")
        }
        client = NotebookClient(
            notebook,
            kernel_name="python3",
            timeout=_CELL_SECONDS,
            store_widget_state=False,
            record_timing=False,
            resources={"metadata": {"path": folder}},
        )
        try:
            client.execute(env=environment | {"HOME": folder, "QSESSION_HOME": str(home)})
            left, secrets = _left_in(home)
        finally:
            process.stop(folder=home)
    return Executed(notebook, left, secrets)


def execute_all(names: Iterable[str]) -> dict[str, Executed]:
    """Execute notebooks, two at a time."""
    with ThreadPoolExecutor(_KERNELS) as executor:
        running = {name: executor.submit(execute, name) for name in names}
        return {name: each.result() for name, each in running.items()}


def outputs(notebook: Any) -> Iterator[Any]:
    """Yield all outputs of a notebook."""
    for cell in notebook.cells:
        yield from cell.get("outputs", [])


def texts(output: Any) -> Iterator[str]:
    """Yield everything in an output that a reader or a page can see."""
    yield "".join(output.get("text", ""))
    yield "\n".join(output.get("traceback", []))
    for content in output.get("data", {}).values():
        yield content if isinstance(content, str) else repr(content)


def printed(notebook: Any) -> str:
    """Return everything that a notebook prints, and its results as text."""
    found = []
    for output in outputs(notebook):
        if output.get("name") == "stdout":
            found.append("".join(output["text"]))
        elif output["output_type"] == "execute_result":
            found.append("".join(output["data"].get("text/plain", "")))
    return "\n".join(found)


def without_noise(text: str) -> str:
    """Replace what differs at each execution: ids, addresses, times."""
    for pattern, name in _NOISE:
        text = pattern.sub(name, text)
    return text


def kept(notebook: Any) -> Any:
    """Return a notebook as it is committed: without widgets, whose state is not kept.

    Pictures have a text for where they are not shown.
    """
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        cell.metadata.pop("execution", None)
        for output in cell.outputs:
            data = output.get("data", {})
            data.pop(WIDGET, None)
            if _PICTURE in data:
                data["text/plain"] = _INSTEAD
            output.get("metadata", {}).pop(WIDGET, None)
    notebook.metadata.language_info = nbformat.from_dict({"name": "python"})
    return notebook


def as_read(output: Any) -> tuple[str, ...]:
    """Return an output as a reader sees it, without what always differs."""
    return tuple(without_noise(each) for each in texts(output))


def write(name: str, notebook: Any) -> bool:
    """Write a notebook with its outputs; return whether any of them has changed.

    Those that differ only in what always does stay as they were.
    """
    path = path_of(name)
    notebook = kept(notebook)
    before = nbformat.read(path, as_version=4)
    changed = False
    for old, new in zip(before.cells, notebook.cells, strict=True):
        if new.cell_type != "code":
            continue
        for at, output in enumerate(new.outputs):
            if at < len(old.outputs) and as_read(old.outputs[at]) == as_read(output):
                new.outputs[at] = old.outputs[at]
            else:
                changed = True
        changed |= len(old.outputs) != len(new.outputs)
        changed |= old.execution_count != new.execution_count
    if changed:
        nbformat.write(notebook, path)
    return changed


def _left_in(home: Path) -> tuple[list[str], list[str]]:
    """Return the sessions that are open on a runtime, and its token."""
    try:
        runtime = Administration(folder=home)
        token = process.endpoint(start=False, folder=home).token
    except ServiceUnavailableError:
        # The notebook has started its own one, and none here.
        return [], []
    return runtime.open_sessions(), [token]


def main(names: list[str]) -> None:
    """Execute notebooks, all if none is named, and write their outputs."""
    for name, executed in execute_all(names or NAMES).items():
        changed = write(name, executed.notebook)
        sys.stdout.write(f"{name}: {'written' if changed else 'as before'}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
