"""A job at the end of a cell while it goes on: its card follows it, and can cancel it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from jupyter_client.manager import start_new_kernel

from qsession_widget import QiskitRuntimeService, Sampler
from qsession_widget.panel import live_card
from tests.client.circuits import bell
from tests.conftest import DEADLINE_SECONDS, running, use

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PLAIN = {"text/plain", "text/html"}
VIEW = "application/vnd.jupyter.widget-view+json"
BEGIN = """
from qsession_widget import QiskitRuntimeService, Sampler
from qsession_widget.panel import live_card
from tests.client.circuits import bell
backend = QiskitRuntimeService("local").backend("fake_manila")
job = Sampler(backend).run([bell()], shots=100)
"""


class Front:
    """A front end that draws nothing, and keeps what a kernel displays.

    Attributes:
        shown: the MIME bundle of each display, by its id.
        results: those of cells.
        told: what the kernel has sent to the widget.
        closed: whether the kernel has removed the widget.
    """

    def __init__(self) -> None:
        self.manager, self.client = start_new_kernel()
        self.shown: dict[str, dict[str, Any]] = {}
        self.results: list[dict[str, Any]] = []
        self.told: list[Any] = []
        self.closed = False

    def take(self, message: dict[str, Any]) -> None:
        content = message["content"]
        match message["msg_type"]:
            case "display_data" | "update_display_data":
                self.shown[content["transient"]["display_id"]] = content["data"]
            case "execute_result":
                self.results.append(content["data"])
            case "comm_close":
                self.closed = True
            case "comm_msg" if content["data"].get("method") == "custom":
                self.told.append(content["data"]["content"])

    def runs(self, code: str) -> None:
        reply = self.client.execute_interactive(
            code, output_hook=self.take, timeout=DEADLINE_SECONDS
        )
        assert reply["content"]["status"] == "ok", reply["content"]

    def ends(self) -> None:
        """End the kernel."""
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)

    def press(self, what: dict[str, str]) -> None:
        """Send to the only widget what the browser sends."""
        (data,) = self.shown.values()
        content = {
            "comm_id": data[VIEW]["model_id"],
            "data": {"method": "custom", "content": what},
        }
        self.client.shell_channel.send(self.client.session.msg("comm_msg", content))

    def wait_until(self, what: str) -> str:
        """Return the HTML of the only display once it contains a text."""
        while True:
            (data,) = self.shown.values()
            if what in data["text/html"]:
                return str(data["text/html"])
            self.take(self.client.get_iopub_msg(timeout=DEADLINE_SECONDS))


@pytest.fixture
def front(slow_runtime: Path) -> Iterator[Front]:
    assert slow_runtime
    found = Front()
    yield found
    found.ends()
    with QiskitRuntimeService("local") as service:
        for job in service.jobs(limit=None, pending=True):
            job.cancel()


def test_a_click_cancels_the_job_and_then_the_card_is_plain_html(front: Front) -> None:
    front.runs(BEGIN)
    front.runs("job")
    (data,) = front.shown.values()
    assert set(data) == {VIEW, "application/vnd.qsession-widget.panel+json"} | PLAIN
    assert "to cancel it" in data["text/html"]
    front.press({"do": "here"})
    front.press({"do": "cancel"})
    html = front.wait_until("Cancelled by its user.")
    (data,) = front.shown.values()
    # A saved notebook needs no widget.
    assert set(data) == PLAIN
    assert "to cancel it" not in html
    assert front.told == [{"here": True}, {"heard": True}]
    while not front.closed:
        front.take(front.client.get_iopub_msg(timeout=DEADLINE_SECONDS))


def test_the_result_is_shown_at_the_end_in_each_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(tmp_path, "--min-job-seconds", "2"):
        use(tmp_path, monkeypatch)
        front = Front()
        try:
            _see_the_result(front)
        finally:
            front.ends()


def _see_the_result(front: Front) -> None:
    front.runs(BEGIN + "job.cancel();")
    front.runs(
        "from IPython.display import display\njob = Sampler(backend).run([bell()], shots=100)\n"
        "display(job)\ndisplay(job)"
    )
    assert all(VIEW in each for each in front.shown.values())
    assert len(front.shown) == 2
    front.runs("job.result();")
    for name in list(front.shown):
        while VIEW in front.shown[name]:
            front.take(front.client.get_iopub_msg(timeout=DEADLINE_SECONDS))
        assert "pub 0, cr" in front.shown[name]["text/html"]
    # What is final by then needs no widget from the beginning.
    front.shown.clear()
    front.runs("job")
    assert not front.shown
    (result,) = front.results
    assert set(result) == PLAIN


def test_an_error_of_the_cancelling_is_shown(front: Front) -> None:
    front.runs(BEGIN)
    front.runs("job")
    front.runs(
        "from qsession_widget.errors import ConflictError\n"
        "def refuse():\n    raise ConflictError('it is ending', status_code=409)\n"
        "job.cancel = refuse"
    )
    front.press({"do": "cancel"})
    while not any("error" in each for each in front.told):
        front.take(front.client.get_iopub_msg(timeout=DEADLINE_SECONDS))
    assert front.told[0] == {"heard": True}
    assert "it is ending" in front.told[1]["error"]


def test_beyond_a_number_cards_do_not_follow(front: Front) -> None:
    front.runs(BEGIN)
    front.runs("live_card.MOST_LIVE = 0\njob")
    assert not front.shown
    (result,) = front.results
    assert set(result) == PLAIN


def test_outside_of_a_kernel_nothing_is_displayed(slow_runtime: Path) -> None:
    assert slow_runtime
    with QiskitRuntimeService("local") as service:
        job = Sampler(service.backend("fake_lima")).run([bell()], shots=100)
        assert not live_card.display(job)
        with pytest.raises(NotImplementedError):
            job._ipython_display_()
        job.cancel()
