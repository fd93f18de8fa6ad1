from __future__ import annotations

import json
import logging
import sys
import threading
from dataclasses import replace
from datetime import timedelta
from importlib.metadata import version
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from qsession_widget import InvalidInputError, NotFoundError, Sampler, Session, SessionPanel, watch
from qsession_widget.monitoring.monitor import Monitor
from qsession_widget.monitoring.snapshot import Holder
from qsession_widget.panel import panel_of, widget
from qsession_widget.wire.discovery import Discovery
from tests.client.circuits import measured_bell as bell
from tests.conftest import DEADLINE_SECONDS, eventually
from tests.panel.conftest import Wire, answers, click, shown

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TRAITS = {
    *("head", "jobs", "page0", "states", "reasons", "estimates"),
    *("beat", "link", "notice", "commands"),
}
RUNNING, COMPLETED, CANCELLED = 1, 2, 4


@pytest.fixture
def session(runtime: Path) -> Iterator[Session]:
    """Yield a session that is cancelled after the test, since it reserves its device."""
    del runtime
    opened = Session(backend="fake_manila", max_time=600)
    yield opened
    opened.cancel()


def page_of(panel: SessionPanel) -> Any:
    return panel.get_state()["page0"]


def status_of(panel: SessionPanel) -> Any:
    return panel.head["status"]


def test_colab_gets_the_address_of_its_widget_manager(
    session: Session, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    """anywidget asks Colab's own module for it; our text and HTML must not replace it."""
    del wire
    colab = ModuleType("google.colab.output")
    url = "https://colab.test/manager.js"
    monkeypatch.setattr(colab, "enable_custom_widget_manager", lambda: None, raising=False)
    monkeypatch.setattr(colab, "_widgets", SimpleNamespace(_installed_url=url), raising=False)
    monkeypatch.setitem(sys.modules, colab.__name__, colab)
    data, metadata = SessionPanel(session)._repr_mimebundle_()
    mime = "application/vnd.jupyter.widget-view+json"
    assert metadata == {mime: {"colab": {"custom_widget_manager": {"url": url}}}}
    assert {mime, "text/plain", "text/html"} <= set(data)


def test_any_front_end_of_the_same_major_version_may_draw_it(session: Session, wire: Wire) -> None:
    """The kernel's own would be too narrow on hubs; any would let a CDN send the newest of all."""
    SessionPanel(session)
    (state,) = wire.opened()
    major = version("anywidget").split(".")[0]
    assert {state["_model_module_version"], state["_view_module_version"]} == {major}


def test_the_first_message_is_complete(session: Session, wire: Wire) -> None:
    job = Sampler(mode=session).run([bell()], shots=10)
    job.result()
    SessionPanel(session)
    (state,) = wire.opened()
    assert set(state) >= TRAITS
    assert state["head"]["session_id"] == session.session_id
    assert state["head"]["backend_name"] == "fake_manila"
    assert state["head"]["status"] == "In progress, accepting new jobs"
    assert state["head"]["details"]["max_time"] == 600
    assert state["jobs"] == {"count": 1, "page": 64}
    assert state["page0"]["ids"] == [job.job_id()]
    assert state["page0"]["programs"] == [["sampler", 1]]
    assert state["page0"]["pubs"] == [[1, 1]]
    assert state["link"]["state"] == "live"


def test_a_session_without_jobs_counts_down_to_its_first(session: Session, wire: Wire) -> None:
    SessionPanel(session)
    (state,) = wire.opened()
    (first,) = state["head"]["countdowns"]
    assert first["kind"] == "first_job"
    assert first["total"] > 0
    assert first["ends"] <= state["beat"]["now"] + first["total"]


def test_what_the_user_said_of_the_session_is_in_the_head(runtime: Path, wire: Wire) -> None:
    del runtime
    with Session(backend="fake_manila", max_time=600, name="H2 ground state") as session:
        panel = shown(session)
        (state,) = wire.opened()
        assert (state["head"]["name"], state["head"]["total"]) == ("H2 ground state", None)
        session.progress(total=400)
        panel._monitor.refresh()
        eventually(lambda: panel.head["total"] == 400)
        session.progress(total=None)
        panel._monitor.refresh()
        eventually(lambda: panel.head["total"] is None)
        for wrong in (0, -1, 2.5, "many", True):
            with pytest.raises(InvalidInputError, match="total"):
                session.progress(wrong)  # type: ignore[arg-type] # refused, not ignored


def test_the_holder_of_the_device_is_sent(session: Session, wire: Wire) -> None:
    del wire
    panel = SessionPanel(session)
    panel._monitor.remove(panel)
    before = panel._monitor.snapshot
    until = before.now + timedelta(seconds=42)
    holder = Holder(mine=True, session_id="4e1a", place="a.ipynb", idle=True, until=until)
    panel.show(replace(before, holder=holder))
    assert panel.head["holder"] == {
        "mine": True,
        "session_id": "4e1a",
        "name": None,
        "place": "a.ipynb",
        "idle": True,
        "until": round(until.timestamp() * 1000),
        "kernel_gone": False,
    }
    panel.show(before)
    assert panel.head["holder"] is None


def test_cache_hits_are_shown(session: Session, wire: Wire) -> None:
    for _ in range(2):
        Sampler(mode=session).run([bell()], shots=10).result()
    SessionPanel(session)
    (state,) = wire.opened()
    figures = session.cache_info()
    assert figures is not None
    assert state["head"]["cache"] == figures
    assert figures["hits"] > 0


def test_results_are_shown_with_their_jobs(session: Session, wire: Wire) -> None:
    del wire
    panel = shown(session)
    Sampler(mode=session).run([bell()], shots=1000)
    eventually(lambda: list(panel.states) == [COMPLETED] and page_of(panel)["results"])
    (outcomes,) = page_of(panel)["results"]
    assert {bits for bits, _ in outcomes[:2]} == {"00", "11"}
    assert sum(share for _, share in outcomes) == pytest.approx(1, abs=0.001)


def test_jobs_appear_and_end_by_themselves(session: Session, wire: Wire) -> None:
    del wire
    panel = shown(session)
    job = Sampler(mode=session).run([bell()], shots=10)
    eventually(lambda: list(panel.states) == [COMPLETED])
    assert page_of(panel)["ids"] == [job.job_id()]
    assert page_of(panel)["waited"][0] < 60_000
    assert 0 < page_of(panel)["ran"][0] < 60_000


def test_only_the_monitor_writes(session: Session, wire: Wire) -> None:
    panel = shown(session)
    Sampler(mode=session).run([bell()], shots=10).result()
    click(panel, {"do": "refresh"})
    eventually(lambda: list(panel.states) == [COMPLETED])
    click(panel, {"do": "close"})
    eventually(lambda: status_of(panel) == "Closed" and panel.notice["n"] == 1)
    # Echoes of what the browser has set are not our state.
    ours = [each for each in wire.updates() if each.data["method"] == "update"]
    assert {each.thread for each in ours} == {f"qsession-monitor-{session.session_id}"}


def test_only_changes_are_sent(session: Session, wire: Wire) -> None:
    panel = shown(session)
    Sampler(mode=session).run([bell()], shots=10).result()
    eventually(lambda: list(panel.states) == [COMPLETED])
    before, beat = len(wire.updates()), panel.beat["n"]
    click(panel, {"do": "refresh"})
    eventually(lambda: panel.beat["n"] > beat)
    sent = [message.data["state"] for message in wire.updates()[before:]]
    assert sent
    assert all(set(state) == {"beat"} for state in sent)


def test_a_job_that_is_opened_shows_its_result(session: Session, wire: Wire) -> None:
    panel = shown(session)
    job = Sampler(mode=session).run([bell()], shots=100)
    job.result()
    click(panel, {"do": "peek", "job_id": job.job_id()})
    eventually(lambda: answers(wire))
    (found,) = answers(wire)
    assert found["job_id"] == job.job_id()
    assert found["code"] == f"service.job('{job.job_id()}').result()"
    assert found["pubs"] == 1
    (result,) = found["results"]
    assert result["shots"] == 100
    assert sum(count for _, count in result["counts"]) == 100
    (message,) = [each for each in wire.updates() if each.data["method"] == "custom"]
    assert message.thread == f"qsession-monitor-{session.session_id}"


def test_a_job_that_cannot_be_read_is_reported(session: Session, wire: Wire) -> None:
    panel = shown(session)
    click(panel, {"do": "peek", "job_id": "no-such-job"})
    eventually(lambda: answers(wire))
    (found,) = answers(wire)
    assert found["job_id"] == "no-such-job"
    assert "NotFoundError" in found["error"]
    assert panel.notice["n"] == 0


def test_a_click_cancels_some_jobs(slow_runtime: Path, wire: Wire) -> None:
    del slow_runtime, wire
    session = Session(backend="fake_bogota")
    panel = shown(session)
    first, second, third = (Sampler(mode=session).run([bell()]) for _ in range(3))
    third.cancel()
    click(panel, {"do": "cancel_jobs", "job_ids": [job.job_id() for job in (first, second, third)]})
    eventually(lambda: panel.notice["n"] == 1)
    assert panel.notice["text"] == "2 of 3 jobs were cancelled, 1 had already ended."
    assert {job.status() for job in (first, second, third)} == {"CANCELLED"}
    session.close()


def test_a_click_closes_the_session(session: Session, wire: Wire) -> None:
    del wire
    panel = shown(session)
    click(panel, {"do": "close"})
    eventually(lambda: status_of(panel) == "Closed")
    assert session.status() == "Closed"
    eventually(lambda: panel.link["state"] == "ended")
    assert panel.notice["level"] == "info"


def test_a_click_cancels_the_session(slow_runtime: Path, wire: Wire) -> None:
    del slow_runtime, wire
    session = Session(backend="fake_lima")
    panel = shown(session)
    running, queued = (Sampler(mode=session).run([bell()]) for _ in range(2))
    eventually(running.running)
    click(panel, {"do": "cancel"})
    eventually(lambda: status_of(panel) == "In progress, not accepting new jobs")
    eventually(lambda: panel.states[-1] == CANCELLED)
    assert panel.reasons[0][1:] == [1, 1]
    assert queued.status() == "CANCELLED"
    assert running.status() == "RUNNING"
    running.cancel()
    eventually(lambda: status_of(panel) == "Closed")


def test_a_click_cancels_the_queued_jobs_only(slow_runtime: Path, wire: Wire) -> None:
    del slow_runtime, wire
    session = Session(backend="fake_belem")
    panel = shown(session)
    running, *queued = (Sampler(mode=session).run([bell()]) for _ in range(3))
    eventually(running.running)
    click(panel, {"do": "cancel_queued"})
    eventually(lambda: panel.notice["text"] == "2 queued jobs were cancelled.")
    assert [job.status() for job in queued] == ["CANCELLED", "CANCELLED"]
    assert running.status() == "RUNNING"
    assert session.status() == "In progress, accepting new jobs"
    click(panel, {"do": "cancel_queued"})
    eventually(lambda: panel.notice["text"] == "No job was queued.")
    running.cancel()
    session.cancel()


def test_a_click_cancels_a_running_job(slow_runtime: Path, wire: Wire) -> None:
    del slow_runtime, wire
    session = Session(backend="fake_quito")
    panel = shown(session)
    job = Sampler(mode=session).run([bell()])
    eventually(job.running)
    click(panel, {"do": "cancel_job", "job_id": job.job_id()})
    eventually(lambda: list(panel.states) == [CANCELLED])
    assert job.status() == "CANCELLED"
    assert job.job_id() in panel.notice["text"]
    click(panel, {"do": "cancel_job", "job_id": job.job_id()})
    eventually(lambda: "already ended" in panel.notice["text"])
    session.close()


def test_a_refused_command_is_reported_and_ends_nothing(session: Session, wire: Wire) -> None:
    del wire
    panel = shown(session)
    click(panel, {"do": "cancel_job", "job_id": "no-such-job"})
    eventually(lambda: panel.notice["level"] == "error")
    assert "no-such-job" in panel.notice["text"]
    assert panel.notice["command"] == "Cancel job"
    click(panel, {"do": "close"})
    eventually(lambda: status_of(panel) == "Closed")


def test_a_command_is_acknowledged_and_then_done(session: Session, wire: Wire) -> None:
    del wire
    panel = shown(session)
    click(panel, {"do": "cancel_job", "job_id": "no-such-job", "ref": "r1"})
    eventually(lambda: panel.commands == {"heard": ["r1"], "done": ["r1"], "active": []})
    click(panel, {"do": "refresh", "ref": "r2"})
    eventually(lambda: panel.commands["heard"] == ["r1", "r2"])
    for at in range(40):
        click(panel, {"do": "cancel_job", "job_id": "no-such-job", "ref": f"{at}" * 99})
    eventually(lambda: panel.commands["done"][-1] == "39" * 20)
    assert len(panel.commands["heard"]) == len(panel.commands["done"]) == 16


def test_every_browser_sees_what_was_pressed_in_one(session: Session, wire: Wire) -> None:
    del wire
    panel = shown(session)
    goes_on = threading.Event()
    # Commands are carried out one after the other: this one holds the next.
    panel._monitor.ask(panel, lambda: {"waited": goes_on.wait(DEADLINE_SECONDS)})
    click(panel, {"do": "cancel_job", "job_id": "no-such-job", "ref": "r1"})
    click(panel, {"do": "close", "ref": "r2"})
    eventually(lambda: panel.commands["active"] == [["cancel_job", "no-such-job"], ["close", None]])
    assert panel.commands["done"] == []
    goes_on.set()
    eventually(lambda: panel.commands["done"] == ["r1", "r2"])
    assert panel.commands["active"] == []


def test_everything_on_request_holds_the_effect_of_the_command_before(
    slow_runtime: Path, wire: Wire
) -> None:
    """A host that forwards only answers would not show it otherwise."""
    del slow_runtime
    session = Session(backend="fake_manila")
    panel = shown(session)
    job = Sampler(mode=session).run([bell()], shots=10)
    eventually(lambda: job.status() == "RUNNING")
    eventually(lambda: [code & 0xF for code in panel.states] == [RUNNING])
    click(panel, {"do": "cancel_job", "job_id": job.job_id(), "ref": "r1"})
    before = len(wire.updates())
    click(panel, {"do": "refresh", "all": True, "ref": "r2"})
    me = threading.current_thread().name
    (answer,) = [each for each in wire.updates()[before:] if each.thread == me]
    assert list(panel.states) == [CANCELLED]
    assert answer.data["state"]["commands"] == {
        "heard": ["r1", "r2"],
        "done": ["r1"],
        "active": [],
    }
    assert job.job_id() in answer.data["state"]["notice"]["text"]
    session.close()


def test_a_view_without_updates_gets_everything_on_request(session: Session, wire: Wire) -> None:
    panel = shown(session)
    job = Sampler(mode=session).run([bell()], shots=10)
    eventually(lambda: list(panel.states) == [COMPLETED])
    before = len(wire.updates())
    click(panel, {"do": "refresh", "all": True, "ref": "r1"})
    me = threading.current_thread().name
    (answer,) = [each for each in wire.updates()[before:] if each.thread == me]
    state = answer.data["state"]
    assert set(state) >= TRAITS - {"states"}
    assert state["page0"]["ids"] == [job.job_id()]
    assert state["commands"]["heard"] == ["r1"]


def test_a_panel_counts_as_visible_until_the_browser_reports_otherwise(
    session: Session, wire: Wire
) -> None:
    # No message of the browser arrives while the next cell runs.
    panel = SessionPanel(session)
    assert panel.looked_at
    started = len(wire.updates())
    eventually(lambda: len(wire.updates()) > started and panel.beat["every"] == 1)


def test_a_panel_that_is_never_shown_counts_as_hidden_after_a_while(
    session: Session, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A displayed panel stays visible where its host counts no views."""
    del wire
    monkeypatch.setattr(widget, "_LOOK_LASTS_SECONDS", 0.0)
    panel = SessionPanel(session)
    assert not panel.looked_at
    panel._repr_mimebundle_()
    assert panel.looked_at


def test_a_panel_without_counted_views_counts_as_visible_for_a_while(
    session: Session, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    del wire
    monkeypatch.setattr(widget, "_LOOK_LASTS_SECONDS", 0.0)
    panel = shown(session)
    assert panel.looked_at
    panel.set_state({"_view_count": 0})
    assert not panel.looked_at
    # A view that its host does not count, such as the side panel.
    monkeypatch.undo()
    beat = panel.beat["n"]
    click(panel, {"do": "look", "ref": "r1"})
    assert panel.looked_at
    eventually(lambda: panel.beat["n"] > beat and panel.beat["every"] == 1)


def test_a_closed_session_answers_as_well(session: Session, wire: Wire) -> None:
    panel = shown(session)
    click(panel, {"do": "close"})
    eventually(lambda: panel.link["state"] == "ended")
    before = len(wire.updates())
    click(panel, {"do": "refresh", "all": True})
    assert any("head" in each.data["state"] for each in wire.updates()[before:])


@pytest.mark.parametrize(
    "content",
    [
        None,
        [],
        "close",
        {},
        {"do": 1},
        {"do": "cancel_job"},
        {"do": "cancel_job", "job_id": 3},
        {"do": "cancel_jobs", "job_ids": ["a", 1]},
    ],
)
def test_an_unknown_message_is_logged(
    session: Session, wire: Wire, caplog: pytest.LogCaptureFixture, content: object
) -> None:
    del wire
    panel = shown(session)
    with caplog.at_level(logging.WARNING):
        click(panel, content)
    assert "unknown message" in caplog.text
    assert session.status() == "Pending"


def test_a_session_displays_as_its_panel(session: Session, wire: Wire) -> None:
    del wire
    data, _metadata = session._repr_mimebundle_()
    view = data["application/vnd.jupyter.widget-view+json"]
    assert session.session_id is not None
    assert session.session_id in data["text/plain"]
    assert session.session_id in data["text/html"]
    Sampler(mode=session).run([bell()], shots=10).result()
    again, _metadata = session._repr_mimebundle_()
    assert "1 job (1 done)" in again["text/plain"]
    assert "1 job (1 done)" in again["text/html"]
    assert again["application/vnd.jupyter.widget-view+json"] == view


def test_running_a_cell_repeatedly_leaks_nothing(session: Session, wire: Wire) -> None:
    session._repr_mimebundle_()
    threads = set(threading.enumerate())
    for _ in range(10):
        session._repr_mimebundle_()
    assert set(threading.enumerate()) <= threads
    assert len(wire.opened()) == 1


def test_panels_of_one_session_share_a_monitor(session: Session, wire: Wire) -> None:
    del wire
    first, second = shown(session), watch(str(session.session_id))
    names = [thread.name for thread in threading.enumerate()]
    assert names.count(f"qsession-monitor-{session.session_id}") == 1
    Sampler(mode=session).run([bell()], shots=10)
    eventually(lambda: list(first.states) == list(second.states) == [COMPLETED])


def test_a_closed_panel_gets_no_updates_and_is_replaced(session: Session, wire: Wire) -> None:
    del wire
    panel = panel_of(session)
    assert panel_of(session) is panel
    panel.close()
    assert Monitor.of(session).listeners == []
    assert panel_of(session) is not panel


def test_a_simulator_has_a_panel(runtime: Path, wire: Wire) -> None:
    del runtime, wire
    session = Session(backend="aer_simulator")
    panel = shown(session)
    assert panel.head["simulator"] is True
    assert panel.head["session_id"] is None
    assert panel.head["status"] is None
    assert panel.head["details"] == {}
    job = Sampler(mode=session).run([bell()], shots=10)
    eventually(lambda: list(panel.states) == [COMPLETED])
    assert page_of(panel)["ids"] == [job.job_id()]
    assert "Jobs on a simulator run without a session" in repr(panel)


def test_no_secret_is_in_the_state(session: Session, runtime: Path, wire: Wire) -> None:
    panel = shown(session)
    click(panel, {"do": "cancel_job", "job_id": "no-such-job"})
    eventually(lambda: panel.notice["n"] == 1)
    found = Discovery.read(runtime)
    assert found is not None
    for message in wire.messages:
        assert found.token not in json.dumps(message.data, default=repr)
    assert found.token not in repr(panel)
    assert found.token not in json.dumps(session._repr_mimebundle_())


def test_only_sessions_have_panels(runtime: Path) -> None:
    del runtime
    with pytest.raises(InvalidInputError, match="'fake_manila' is not a session"):
        SessionPanel("fake_manila")  # type: ignore[arg-type] # this is what is refused
    with pytest.raises(NotFoundError, match="no-such-session"):
        watch("no-such-session")
