"""What notebooks save of a session: the last state, though the cell ran long before."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import nbformat
from IPython.core.formatters import DisplayFormatter
from jupyter_client.manager import start_new_kernel
from nbclient import NotebookClient

from qsession_widget import Session
from qsession_widget.panel import panel_of
from qsession_widget.panel.saved_output import PANEL_MIME
from tests.conftest import DEADLINE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from jupyter_client.blocking.client import BlockingKernelClient

BEGIN = """
from qsession_widget import Sampler, Session
from tests.client.circuits import bell
session = Session(backend="fake_manila")
"""
RUN = "Sampler(mode=session).run(bell(), shots=10).result();"


def executed(*cells: str) -> list[Any]:
    """Return the outputs of each cell, as nbconvert --execute saves them."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(each) for each in cells])
    NotebookClient(notebook, timeout=DEADLINE_SECONDS, kernel_name="python3").execute()
    return [cell.outputs for cell in notebook.cells]


class Kernel:
    """A kernel, and the pictures that it sends of outputs which are there already."""

    def __init__(self, client: BlockingKernelClient) -> None:
        self._client = client
        self.pictures: list[str] = []

    def runs(self, code: str) -> None:
        reply = self._client.execute_interactive(
            code, output_hook=self._take, timeout=DEADLINE_SECONDS
        )
        assert reply["content"]["status"] == "ok", reply["content"]

    def wait_for_a_picture(self) -> None:
        while not self.pictures:
            self._take(self._client.get_iopub_msg(timeout=DEADLINE_SECONDS))

    def _take(self, message: dict[str, Any]) -> None:
        if message["msg_type"] == "update_display_data":
            self.pictures.append(message["content"]["data"]["text/plain"])


@contextmanager
def with_a_panel() -> Iterator[Kernel]:
    """Start a kernel, and show a session's panel in it."""
    manager, client = start_new_kernel()
    kernel = Kernel(client)
    try:
        kernel.runs(BEGIN)
        kernel.runs("from qsession_widget.panel import panel_of, saved_output")
        kernel.runs("panel = panel_of(session)\npanel")
        yield kernel
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def test_an_executed_notebook_keeps_one_output_with_the_last_state(own_runtime: Path) -> None:
    assert own_runtime
    outputs = executed(BEGIN, "session", RUN, "session", "session.close();")
    assert [len(each) for each in outputs] == [0, 1, 0, 1, 0]
    for (output,) in (outputs[1], outputs[3]):
        data = output["data"]
        assert set(data) >= {"application/vnd.jupyter.widget-view+json", PANEL_MIME}
        assert "Closed at" in data["text/plain"]
        assert "1 job (1 done), as of 20" in data["text/plain"]
        assert ">Closed</span>" in data["text/html"]
        assert "as of 20" in data["text/html"]


def test_a_session_that_stays_open_is_saved_as_the_last_cell_left_it(own_runtime: Path) -> None:
    assert own_runtime
    (_, (output,), _) = executed(BEGIN, "session", RUN)
    assert "1 job (1 done)" in output["data"]["text/plain"]
    assert "Idle" in output["data"]["text/html"]


def test_a_host_that_would_draw_the_panel_anew_gets_only_the_end(own_runtime: Path) -> None:
    """As VS Code, which has drawn the panel, and has no extension of ours that keeps it."""
    assert own_runtime
    with with_a_panel() as kernel:
        # A host sets the number of views when it has drawn one. Then a minute is over.
        kernel.runs("panel._view_count = 1\nsaved_output.EVERY_SECONDS = 0.0")
        kernel.pictures.clear()
        kernel.runs(RUN)
        kernel.runs("beat = panel.beat['n']\npanel._monitor.refresh()")
        kernel.runs("panel._monitor.wait_for(lambda seen: seen.beat > beat + 1, 20);")
        kernel.runs("session.close();")
        kernel.wait_for_a_picture()
        pictures = kernel.pictures
    assert all("Closed at" in each for each in pictures), pictures


def test_a_picture_that_does_not_differ_is_not_sent_again(own_runtime: Path) -> None:
    """Only the countdown moves: that alone would mark the notebook as changed each minute."""
    assert own_runtime
    look = "seen = panel.beat['n']\npanel._monitor.wait_for(lambda now: now.beat > seen + 2, 20);"
    with with_a_panel() as kernel:
        # As a page in JupyterLab, which keeps what it has drawn. Each round is a minute.
        kernel.runs("panel._view_count = 1\npanel._saved.kept = True")
        kernel.runs("saved_output.EVERY_SECONDS = 0.0")
        kernel.runs(look)
        kernel.pictures.clear()
        kernel.runs(look)
        kernel.runs(look)
        assert kernel.pictures == []
        kernel.runs(RUN)
        kernel.runs(look)
        pictures = kernel.pictures
    assert pictures
    assert "1 job (1 done)" in pictures[-1]


def test_outside_of_a_kernel_the_bundle_is_displayed(runtime: Path) -> None:
    assert runtime
    with Session(backend="fake_lima") as session:
        for shown in (session, panel_of(session)):
            formatter: Any = DisplayFormatter()
            data, _ = formatter.format(shown)
            assert set(data) >= {"text/plain", "text/html"}
            assert PANEL_MIME not in data
