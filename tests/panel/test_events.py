"""What `session.on` reports, and what it does not."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any, get_args

import pytest

from qsession_widget import InvalidInputError, Sampler, Session, SessionEvent
from qsession_widget.client.session import EventName
from qsession_widget.local import process
from qsession_widget.monitoring.events import Watcher
from qsession_widget.monitoring.monitor import Monitor
from tests.client.circuits import bell
from tests.conftest import DEADLINE_SECONDS, eventually, running, use

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Heard:
    """Records events, and on which thread they came."""

    def __init__(self) -> None:
        self.events: list[SessionEvent] = []
        self.threads: set[str] = set()

    def __call__(self, event: SessionEvent) -> None:
        self.events.append(event)
        self.threads.add(threading.current_thread().name)

    @property
    def kinds(self) -> list[str]:
        return [event.kind for event in self.events]


@pytest.fixture
def virtual(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Use a runtime whose clock moves only when a test says so."""
    with running(tmp_path / "virtual", "--clock", "virtual", "--workers", "1") as folder:
        use(folder, monkeypatch)
        yield folder


def subscribed(session: Session, heard: Heard, **more: Any) -> None:
    for kind in get_args(EventName):
        session.on(kind, heard, **more)


def test_the_life_of_a_session_is_reported_once(virtual: Path) -> None:
    heard = Heard()
    session = Session(backend="fake_manila", max_time="20m", name="H2")
    subscribed(session, heard)
    Sampler(mode=session).run([bell()]).result()
    eventually(lambda: heard.kinds == ["active"])
    process.advance_clock(120, folder=virtual)
    eventually(lambda: heard.kinds == ["active", "inactive"])
    process.advance_clock(15 * 60 - 110, folder=virtual)
    eventually(lambda: heard.kinds == ["active", "inactive", "ends_soon"])
    process.advance_clock(10 * 60, folder=virtual)
    eventually(lambda: len(heard.events) == 4)
    assert heard.kinds == ["active", "inactive", "ends_soon", "closed"]
    assert [event.text.partition(" is ")[0] for event in heard.events[:2]] == ["Session H2"] * 2
    assert heard.events[2].text == "Session H2 ends in 5 min at the latest."
    assert {event.session for event in heard.events} == {session}
    assert heard.threads == {f"qsession-events-{session.session_id}"}
    # The session is over: nothing is left that runs.
    eventually(lambda: not any(each.name in heard.threads for each in threading.enumerate()))


def test_what_this_process_did_itself_is_no_event(runtime: Path) -> None:
    del runtime
    heard = Heard()
    session, other = Session(backend="fake_manila"), Session(backend="fake_manila")
    for each in (session, other):
        subscribed(each, heard)
    monitor = Monitor.of(session)
    session.close()
    # Closed by another program, as far as this object knows.
    other.service.api.close_session(other.session_id or "")
    eventually(lambda: heard.kinds == ["closed"])
    assert heard.events[0].session is other
    eventually(lambda: monitor.snapshot.link.state == "ended")
    assert heard.kinds == ["closed"]


def test_failed_jobs_are_reported_each_once(runtime: Path) -> None:
    del runtime
    heard = Heard()
    with Session(backend="fake_manila") as session:
        stop = session.on("job_failed", heard)
        failing = [failing_job(session) for _ in range(2)]
        eventually(lambda: len(heard.events) == 2)
        assert {event.job_id for event in heard.events} == set(failing)
        Sampler(mode=session).run([bell()]).result()
        stop()
        stop()
        again = failing_job(session)
        eventually(lambda: session.service.job(again).in_final_state())
        watched = Heard()
        session.on("job_failed", watched)
        last = failing_job(session)
        eventually(lambda: [event.job_id for event in watched.events] == [last])
        assert len(heard.events) == 2


def failing_job(session: Session) -> str:
    """Send a job that fails: its program's input names nothing that can be run."""
    body = {"pubs": [["OPENQASM 3.0; this is no circuit"]], "version": 2, "options": {}}
    return str(session.run("sampler", body).job_id())


def test_a_function_that_raises_is_logged_and_ends_nothing(
    runtime: Path, caplog: pytest.LogCaptureFixture
) -> None:
    del runtime
    heard = Heard()

    def breaks(_event: SessionEvent) -> None:
        raise RuntimeError("of the user's")

    session = Session(backend="fake_manila")
    session.on("active", breaks)
    session.on("active", heard)
    with caplog.at_level(logging.ERROR):
        Sampler(mode=session).run([bell()])
        eventually(lambda: heard.kinds == ["active"])
    assert "of the user's" in caplog.text
    session.cancel()


def test_a_slow_function_delays_no_snapshot(runtime: Path) -> None:
    del runtime
    begun, go_on = threading.Event(), threading.Event()

    def waits(_event: SessionEvent) -> None:
        begun.set()
        go_on.wait(DEADLINE_SECONDS)

    session = Session(backend="fake_manila")
    session.on("active", waits)
    Sampler(mode=session).run([bell()]).result()
    assert begun.wait(DEADLINE_SECONDS)
    Sampler(mode=session).run([bell()]).result()
    eventually(lambda: len(Monitor.of(session).snapshot.jobs) == 2)
    go_on.set()
    session.close()


def test_what_cannot_be_subscribed_is_refused(runtime: Path) -> None:
    del runtime
    session = Session(backend="fake_manila")
    wrong: list[Any] = [("finished", print), ("closed", None), (None, print)]
    for event, function in wrong:
        with pytest.raises(InvalidInputError):
            session.on(event, function)
    with pytest.raises(InvalidInputError, match="minutes"):
        session.on("ends_soon", print, minutes=-1)
    stop = session.on("ends_soon", print)
    assert Watcher.of(session) is Watcher.of(session)
    stop()
    eventually(lambda: not Monitor.of(session).alive)
    session.close()
