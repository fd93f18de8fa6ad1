"""What notebooks save of a session: the last state, though the cell ran long before."""

from __future__ import annotations

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
    from pathlib import Path

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
    manager, client = start_new_kernel()
    pictures: list[str] = []

    def take(message: dict[str, Any]) -> None:
        if message["msg_type"] == "update_display_data":
            pictures.append(message["content"]["data"]["text/plain"])

    def runs(code: str) -> None:
        reply = client.execute_interactive(code, output_hook=take, timeout=DEADLINE_SECONDS)
        assert reply["content"]["status"] == "ok", reply["content"]

    try:
        runs(BEGIN)
        runs("from qsession_widget.panel import panel_of, saved_output\npanel = panel_of(session)")
        runs("panel")
        # A host sets the number of views when it has drawn one. Then a minute is over.
        runs("panel._view_count = 1\nsaved_output.EVERY_SECONDS = 0.0")
        pictures.clear()
        runs(RUN)
        runs("beat = panel.beat['n']\npanel._monitor.refresh()")
        runs("panel._monitor.wait_for(lambda seen: seen.beat > beat + 1, 20);")
        runs("session.close();")
        while not pictures:
            take(client.get_iopub_msg(timeout=DEADLINE_SECONDS))
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    assert all("Closed at" in each for each in pictures), pictures


def test_a_picture_that_does_not_differ_is_not_sent_again(own_runtime: Path) -> None:
    """Only the countdown moves: that alone would mark the notebook as changed each minute."""
    assert own_runtime
    manager, client = start_new_kernel()
    pictures: list[str] = []

    def take(message: dict[str, Any]) -> None:
        if message["msg_type"] == "update_display_data":
            pictures.append(message["content"]["data"]["text/plain"])

    def runs(code: str) -> None:
        reply = client.execute_interactive(code, output_hook=take, timeout=DEADLINE_SECONDS)
        assert reply["content"]["status"] == "ok", reply["content"]

    look = "seen = panel.beat['n']\npanel._monitor.wait_for(lambda now: now.beat > seen + 2, 20);"
    try:
        runs(BEGIN)
        runs("from qsession_widget.panel import panel_of, saved_output\npanel = panel_of(session)")
        runs("panel")
        # As a page in JupyterLab, which keeps what it has drawn. Each round is a minute.
        runs("panel._view_count = 1\npanel._saved.kept = True\nsaved_output.EVERY_SECONDS = 0.0")
        runs(look)
        pictures.clear()
        runs(look)
        runs(look)
        assert pictures == []
        runs(RUN)
        runs(look)
        assert pictures
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    assert "1 job (1 done)" in pictures[-1]


def test_outside_of_a_kernel_the_bundle_is_displayed(runtime: Path) -> None:
    assert runtime
    with Session(backend="fake_lima") as session:
        for shown in (session, panel_of(session)):
            formatter: Any = DisplayFormatter()
            data, _ = formatter.format(shown)
            assert set(data) >= {"text/plain", "text/html"}
            assert PANEL_MIME not in data
