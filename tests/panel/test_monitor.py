from __future__ import annotations

import os
import signal
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from qsession_widget import QiskitRuntimeService, Sampler, Session
from qsession_widget.client import listings
from qsession_widget.local import process
from qsession_widget.monitoring.monitor import Monitor
from qsession_widget.monitoring.snapshot import LinkState
from qsession_widget.panel.explanation import holder_parts
from qsession_widget.support import whereabouts
from qsession_widget.wire.discovery import Discovery
from qsession_widget.wire.states import JobState
from tests.client.circuits import bell
from tests.client.spy import requests_seen
from tests.conftest import DEADLINE_SECONDS, eventually, running

if TYPE_CHECKING:
    from pathlib import Path

    from qsession_widget.monitoring.snapshot import Notice, Snapshot


class View:
    """A listener that records what it is shown."""

    looked_at = True

    def __init__(self) -> None:
        self.snapshots: list[Snapshot] = []
        self.notices: list[Notice] = []

    def show(self, snapshot: Snapshot) -> None:
        self.snapshots.append(snapshot)

    def tell(self, notice: Notice) -> None:
        self.notices.append(notice)


class BrokenView(View):
    """A listener that cannot draw."""

    def show(self, snapshot: Snapshot) -> None:
        super().show(snapshot)
        raise RuntimeError("no canvas")


def connected(folder: Path) -> QiskitRuntimeService:
    """Join another user's runtime, which this process does not restart."""
    found = Discovery.read(folder)
    assert found is not None
    return QiskitRuntimeService(channel="local", url=found.url, token=found.token)


def test_an_unreachable_server_is_reported_until_it_returns(tmp_path: Path) -> None:
    view = View()
    with running(tmp_path) as folder:
        service = connected(folder)
        session = Session(service, backend="fake_manila")
        port = service.api.transport.url.split(":")[2].split("/")[0]
        monitor = Monitor.of(session)
        monitor.add(view)
        eventually(lambda: monitor.snapshot.link.state is LinkState.LIVE)
    eventually(lambda: monitor.snapshot.link.state is LinkState.RETRYING)
    assert monitor.snapshot.link.error
    assert not monitor.snapshot.link.startable, "it is another user's"
    assert monitor.snapshot.status == "Pending"
    monitor.close_session()
    eventually(lambda: [notice.level for notice in view.notices] == ["error"])
    with running(tmp_path, "--port", port):
        # With another token: the old one is refused, which is reported too.
        eventually(lambda: "401" in (monitor.snapshot.link.error or "") or monitor.alive)
        assert monitor.alive


def test_a_poll_does_not_start_a_stopped_runtime(own_runtime: Path) -> None:
    session = Session(backend="fake_manila")
    monitor, view = Monitor.of(session), View()
    monitor.add(view)
    eventually(lambda: monitor.snapshot.link.state is LinkState.LIVE)
    assert process.stop(folder=own_runtime)
    eventually(lambda: monitor.snapshot.link.state is LinkState.RETRYING)
    beat = monitor.snapshot.beat
    eventually(lambda: monitor.snapshot.beat > beat + 1)
    assert Discovery.read(own_runtime) is None
    link = monitor.snapshot.link
    assert "no local runtime" in (link.error or "")
    assert (link.startable, "next cell" in (link.cure or "")) == (True, True)

    monitor.start_runtime(ref="r1")
    eventually(lambda: monitor.snapshot.link.state is LinkState.LIVE)
    assert monitor.snapshot.link.cure is None
    eventually(lambda: [(each.level, each.ref) for each in view.notices] == [("info", "r1")])
    assert session.status() == "Pending"
    session.close()
    eventually(lambda: not monitor.alive)


def test_another_session_is_closed_from_here(runtime: Path) -> None:
    del runtime
    first, second = Session(backend="fake_manila"), Session(backend="fake_manila")
    monitor, view = Monitor.of(second), View()
    monitor.add(view)
    monitor.close_other(first.session_id or "")
    eventually(lambda: first.status() == "Closed")
    eventually(lambda: [notice.level for notice in view.notices] == ["info"])
    monitor.close_other("no-such-session")
    eventually(lambda: [notice.level for notice in view.notices] == ["info", "error"])
    assert second.status() == "Pending"
    second.close()


def test_a_queued_job_has_its_place_in_the_queue_of_the_device(runtime: Path) -> None:
    del runtime
    with Session(backend="fake_manila") as first, Session(backend="fake_manila") as second:
        Sampler(mode=first).run([bell()], shots=10).result()
        monitor, view = Monitor.of(second), View()
        monitor.add(view)
        jobs = [Sampler(mode=second).run([bell()], shots=10) for _ in range(2)]
        eventually(lambda: [row.position for row in monitor.snapshot.jobs] == [1, 2])
        assert monitor.snapshot.jobs.position == 1
        first.close()
        for job in jobs:
            job.result()
        eventually(lambda: monitor.snapshot.jobs.position is None)


def test_a_poll_revives_a_runtime_that_died(own_runtime: Path) -> None:
    session = Session(backend="fake_manila")
    monitor, view = Monitor.of(session), View()
    monitor.add(view)
    eventually(lambda: monitor.snapshot.link.state is LinkState.LIVE)
    died = Discovery.read(own_runtime)
    assert died is not None
    os.kill(died.pid, signal.SIGKILL)
    eventually(lambda: Discovery.read(own_runtime) not in {None, died})
    eventually(lambda: monitor.snapshot.link.state is LinkState.LIVE)
    session.close()
    eventually(lambda: not monitor.alive)


def test_the_threads_end_with_the_session(runtime: Path) -> None:
    del runtime
    session = Session(backend="fake_manila")
    monitor, view = Monitor.of(session), View()
    monitor.add(view)
    eventually(lambda: monitor.snapshot.beat)
    session.close()
    eventually(lambda: not monitor.alive)
    assert view.snapshots[-1].link.state is LinkState.ENDED
    eventually(lambda: not threads_of(session))


def threads_of(session: Session) -> list[threading.Thread]:
    name = f"qsession-monitor-{session.session_id}"
    return [each for each in threading.enumerate() if each.name.startswith(name)]


@pytest.mark.parametrize("forgotten", [False, True])
def test_the_threads_end_with_the_last_listener(runtime: Path, *, forgotten: bool) -> None:
    del runtime
    session = Session(backend="fake_manila")
    monitor, first, last = Monitor.of(session), View(), View()
    monitor.add(first)
    monitor.add(last)
    eventually(lambda: monitor.snapshot.beat)
    monitor.remove(first)
    beat = monitor.snapshot.beat
    eventually(lambda: monitor.snapshot.beat > beat)
    assert len(threads_of(session)) == 2
    if forgotten:
        del last
    else:
        monitor.remove(last)
    eventually(lambda: not threads_of(session))

    beat = monitor.snapshot.beat
    assert monitor.look_now(DEADLINE_SECONDS).beat > beat, "who asks is answered"
    eventually(lambda: not threads_of(session))
    again = View()
    monitor.add(again)
    session.close()
    eventually(lambda: again.snapshots and again.snapshots[-1].status == "Closed")
    eventually(lambda: not threads_of(session))


def test_a_command_is_carried_out_after_the_last_listener_is_gone(runtime: Path) -> None:
    del runtime
    session = Session(backend="fake_manila")
    monitor, view = Monitor.of(session), View()
    monitor.add(view)
    monitor.close_session()
    monitor.remove(view)
    eventually(lambda: session.status() == "Closed")
    eventually(lambda: not threads_of(session))


def test_a_view_that_cannot_draw_does_not_affect_others(runtime: Path) -> None:
    del runtime
    session = Session(backend="fake_manila")
    monitor = Monitor.of(session)
    broken, good = BrokenView(), View()
    monitor.add(broken)
    monitor.add(good)
    eventually(lambda: broken.snapshots)
    session.close()
    eventually(lambda: good.snapshots and good.snapshots[-1].status == "Closed")


def test_polls_where_the_service_cannot_hold_requests(runtime: Path) -> None:
    del runtime
    service = QiskitRuntimeService(channel="local")
    # IBM's service answers so to a request for features.
    service._features = frozenset()
    session = Session(service, backend="fake_manila")
    monitor = Monitor.of(session)
    view = View()
    monitor.add(view)
    eventually(lambda: monitor.snapshot.status == "Pending")
    session.close()
    eventually(lambda: monitor.snapshot.status == "Closed")
    eventually(lambda: not monitor.alive)


def test_a_command_is_answered_after_the_sessions_end(runtime: Path) -> None:
    del runtime
    session = Session(backend="fake_manila")
    monitor, view = Monitor.of(session), View()
    monitor.add(view)
    monitor.close_session()
    eventually(lambda: len(view.notices) == 1)
    eventually(lambda: not monitor.alive)
    monitor.cancel_session()
    eventually(lambda: len(view.notices) == 2)
    eventually(lambda: not monitor.alive)


def test_listeners_are_held_weakly(runtime: Path) -> None:
    del runtime
    session = Session(backend="fake_manila")
    monitor = Monitor.of(session)
    monitor.add(View())
    eventually(lambda: monitor.listeners == [])
    session.close()
    eventually(lambda: not monitor.alive)


class Asker(View):
    """A listener that cannot take an answer, like a panel whose comm is closed."""

    def answer(self, answer: dict[str, Any]) -> None:
        raise OSError(f"no comm for {answer}")


class Unknowing(View):
    """A listener that raises when it is asked whether it is visible."""

    def __getattribute__(self, name: str) -> Any:
        if name == "looked_at":
            raise RuntimeError("no view")
        return super().__getattribute__(name)


def test_a_failing_view_does_not_end_the_monitor(runtime: Path) -> None:
    del runtime
    session = Session(backend="fake_manila")
    monitor = Monitor.of(session)
    asker, unknowing, good = Asker(), Unknowing(), View()
    for each in (asker, unknowing, good):
        monitor.add(each)
    monitor.ask(asker, lambda: {"peek": {}})
    eventually(lambda: monitor._answers.empty() and monitor._unanswered == 0)
    monitor.cancel_queued("r1")
    eventually(lambda: [notice.ref for notice in good.notices] == ["r1"])
    session.close()
    eventually(lambda: good.snapshots[-1].status == "Closed")
    eventually(lambda: not monitor.alive)


def test_a_deleted_job_leaves_every_view(runtime: Path) -> None:
    del runtime
    session = Session(backend="fake_manila")
    jobs = [Sampler(session).run(bell(), shots=1) for _ in range(3)]
    for job in jobs:
        job.wait_for_final_state()
    monitor, view = Monitor.of(session), View()
    monitor.add(view)

    def seen() -> list[str]:
        return [row.id for row in monitor.snapshot.jobs]

    eventually(lambda: seen() == [job.job_id() for job in jobs])
    session.service.delete_job(jobs[1].job_id())
    eventually(lambda: seen() == [jobs[0].job_id(), jobs[2].job_id()])
    assert [job.job_id() for job in session.jobs()] == seen()
    session.close()
    eventually(lambda: not monitor.alive)


@pytest.mark.parametrize("many", [45])
def test_a_service_without_extensions_gets_few_requests(
    many: int, slow_runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many jobs wait; and no change is missed."""
    del slow_runtime
    monkeypatch.setattr(listings, "PAGE", 10)
    service = QiskitRuntimeService()
    session = Session(service, backend="fake_nairobi")
    sampler = Sampler(session)
    jobs = [sampler.run(bell(), shots=1) for _ in range(many)]
    eventually(jobs[0].running)
    monkeypatch.setattr(service, "_features", frozenset())
    asked = requests_seen(monkeypatch)
    monitor, view = Monitor.of(session), View()
    monitor.add(view)
    seen: dict[str, str] = {}

    def states() -> dict[str, str]:
        seen.clear()
        seen.update({row.id: row.state for row in monitor.snapshot.jobs})
        return seen

    eventually(lambda: list(states()) == [job.job_id() for job in jobs])
    asked.clear()
    first = monitor.snapshot.beat
    eventually(lambda: monitor.snapshot.every_seconds > 2)
    assert len(asked) <= 3 * (monitor.snapshot.beat - first + 1)
    # The end of the queue, more jobs than are requested by id, new jobs, and deleted ones.
    other = Session.from_id(str(session.session_id))
    jobs[-1].cancel()
    monitor.refresh()
    eventually(lambda: states()[jobs[-1].job_id()] == "Cancelled")
    new = Sampler(other).run(bell(), shots=1)
    monitor.refresh()
    eventually(lambda: states().get(new.job_id()) == "Queued")
    other.service.delete_job(jobs[3].job_id())
    monitor.refresh()
    eventually(lambda: jobs[3].job_id() not in states())
    other.cancel_queued_jobs()
    monitor.refresh()
    eventually(lambda: list(states().values()).count("Cancelled") == many - 1)
    jobs[0].cancel()
    session.cancel()
    monitor.refresh()
    eventually(lambda: not monitor.alive)
    assert {row.state for row in monitor.snapshot.jobs} == {"Cancelled"}


def test_many_jobs_of_a_simulator_are_requested_in_turns(
    slow_runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del slow_runtime
    session = Session(backend="aer_simulator")
    sampler = Sampler(session)
    jobs = [sampler.run(bell(), shots=1) for _ in range(30)]
    asked = requests_seen(monkeypatch)
    monitor, view = Monitor.of(session), View()
    monitor.add(view)
    eventually(lambda: len(monitor.snapshot.jobs) == len(jobs))
    assert [row.id for row in monitor.snapshot.jobs] == [job.job_id() for job in jobs]
    beat = monitor.snapshot.beat
    asked.clear()
    eventually(lambda: monitor.snapshot.beat > beat + 2)
    assert len(asked) <= 8 * (monitor.snapshot.beat - beat + 1)
    for job in jobs:
        job.cancel()
    monitor.refresh()
    eventually(lambda: all(row.final for row in monitor.snapshot.jobs))


def test_a_hidden_view_is_updated_less_and_less_often(
    runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del runtime
    session = Session(backend="fake_manila")
    monitor = Monitor(session)
    now = time.monotonic()
    rounds = []
    for later in (0, 60, 300, 3600):
        monkeypatch.setattr(time, "monotonic", lambda later=later: now + later)
        rounds.append(monitor._round_seconds())
    assert rounds == sorted(rounds)
    assert (rounds[0], rounds[-1]) == (10, 60)
    session.close()


def test_the_holder_is_seen_and_its_end_without_a_change_of_the_session(own_runtime: Path) -> None:
    """Other users' jobs on the device do not change the session that waits for it."""
    assert own_runtime
    first = Session(backend="fake_manila", name="first")
    Sampler(mode=first).run(bell()).result()
    second = Session(backend="fake_manila")
    waiting = Sampler(mode=second).run(bell())
    monitor, view = Monitor.of(second), View()
    monitor.add(view)
    eventually(lambda: monitor.snapshot.holder, "the holder")
    holder = monitor.snapshot.holder
    assert holder is not None
    assert (holder.mine, holder.session_id, holder.name, holder.idle, holder.kernel_gone) == (
        True,
        first.session_id,
        "first",
        True,
        False,
    )
    assert holder.until is not None
    *words, until = holder_parts(monitor.snapshot) or ()
    place = whereabouts.notebook_or_script()
    called = f"first {str(first.session_id)[:8]}{f' ({place})' if place else ''}"
    assert words == [f"fake_manila is held by your session {called}, idle, until "]
    assert until == holder.until
    # The holder runs a job, which does not change the waiting session.
    eventually(lambda: view.snapshots[-1].holder == holder, "a second look")
    Sampler(mode=first).run(bell()).result()
    eventually(
        lambda: (
            monitor.snapshot.holder is not None and monitor.snapshot.holder.until != holder.until
        ),
        "a later end",
    )
    first.close()
    waiting.result()
    eventually(lambda: monitor.snapshot.count(JobState.COMPLETED), "the end of the job")
    assert monitor.snapshot.holder is None
    assert holder_parts(monitor.snapshot) is None
    assert monitor.snapshot.gives_way
