from __future__ import annotations

import os
import signal
import threading
from typing import TYPE_CHECKING

from qsession_widget import QiskitRuntimeService, Session, local
from qsession_widget.monitor import Monitor
from qsession_widget.snapshot import LinkState
from qsession_widget.wire.discovery import Discovery
from tests.conftest import eventually, running

if TYPE_CHECKING:
    from pathlib import Path

    from qsession_widget.snapshot import Notice, Snapshot


class View:
    """A listener that keeps what it is shown."""

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
    """Join a runtime as somebody else's, which this process does not start again."""
    found = Discovery.read(folder)
    assert found is not None
    return QiskitRuntimeService(channel="local", url=found.url, token=found.token)


def test_a_server_that_goes_away_is_said_and_comes_back(tmp_path: Path) -> None:
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
    assert monitor.snapshot.status == "Pending"
    monitor.close_session()
    eventually(lambda: [notice.level for notice in view.notices] == ["error"])
    with running(tmp_path, "--port", port):
        # Another token: the old one is refused, which is said as well.
        eventually(lambda: "401" in (monitor.snapshot.link.error or "") or monitor.alive)
        assert monitor.alive


def test_a_poll_starts_no_runtime_that_somebody_ended(own_runtime: Path) -> None:
    session = Session(backend="fake_manila")
    monitor, view = Monitor.of(session), View()
    monitor.add(view)
    eventually(lambda: monitor.snapshot.link.state is LinkState.LIVE)
    assert local.stop(folder=own_runtime)
    eventually(lambda: monitor.snapshot.link.state is LinkState.RETRYING)
    beat = monitor.snapshot.beat
    eventually(lambda: monitor.snapshot.beat > beat + 1)
    assert Discovery.read(own_runtime) is None
    assert "no local runtime" in (monitor.snapshot.link.error or "")

    assert session.status() == "Pending", "an explicit call starts it"
    monitor.refresh()
    eventually(lambda: monitor.snapshot.link.state is LinkState.LIVE)
    session.close()
    eventually(lambda: not monitor.alive)


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
    name = f"qsession-monitor-{session.session_id}"
    eventually(lambda: not [each for each in threading.enumerate() if each.name.startswith(name)])


def test_a_view_that_cannot_draw_harms_no_other(runtime: Path) -> None:
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
    # What IBM's service answers to the question for our features.
    service._features = frozenset()
    session = Session(service, backend="fake_manila")
    monitor = Monitor.of(session)
    view = View()
    monitor.add(view)
    eventually(lambda: monitor.snapshot.status == "Pending")
    session.close()
    eventually(lambda: monitor.snapshot.status == "Closed")
    eventually(lambda: not monitor.alive)


def test_a_command_is_answered_also_after_the_end(runtime: Path) -> None:
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
