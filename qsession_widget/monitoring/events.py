"""Calls a user's functions when something happens to a session, on a thread of their own.

The polling thread only compares snapshots and puts what it finds into a queue: a function that
takes long delays no panel.
"""

from __future__ import annotations

import logging
import queue
import threading
import weakref
from typing import TYPE_CHECKING, ClassVar, get_args

from qsession_widget.client.session import EventName, SessionEvent
from qsession_widget.monitoring.deadlines import Evidence
from qsession_widget.monitoring.monitor import Monitor
from qsession_widget.monitoring.snapshot import LinkState
from qsession_widget.support import forking, validation
from qsession_widget.wire.states import JobState, SessionState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from qsession_widget.client.session import Session
    from qsession_widget.monitoring.job_list import JobList
    from qsession_widget.monitoring.job_row import JobRow
    from qsession_widget.monitoring.snapshot import Notice, Snapshot

logger = logging.getLogger(__name__)

_LOOK_SECONDS = 2.0
"""How long a subscriber waits for the present state, from which changes are counted."""

_kind = validation.one_of(*get_args(EventName))
_minutes = validation.number(0)


class _Subscription:
    """A function and the event for which it is called."""

    def __init__(
        self, kind: EventName, function: Callable[[SessionEvent], object], seconds: float
    ) -> None:
        self.kind: EventName = kind
        self.function = function
        self.seconds = seconds
        self.warned = False
        self.stopped = False


class Watcher:
    """Calls the functions that were subscribed to one session.

    Its thread keeps it alive until the session is over, or no function is subscribed any more.
    """

    looked_at = True
    """Events are wanted at once, as for a panel on a screen."""

    _all: ClassVar[weakref.WeakValueDictionary[str, Watcher]] = weakref.WeakValueDictionary()
    _all_lock = forking.Lock()

    def __init__(self, session: Session) -> None:
        self._monitor = Monitor.of(session)
        self._session = session
        self._begin()
        forking.heed(self)

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._subscriptions: list[_Subscription] = []
        self._calls: queue.SimpleQueue[tuple[_Subscription, SessionEvent] | None]
        self._calls = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._last: Snapshot | None = None

    def after_fork(self) -> None:
        """Forget the subscriptions in a forked child: they are the parent's."""
        self._begin()

    @classmethod
    def of(cls, session: Session) -> Watcher:
        """Return the one watcher of a session object."""
        made = cls(session)
        with cls._all_lock:
            return cls._all.setdefault(session.key, made)

    def subscribe(
        self, kind: EventName, function: Callable[[SessionEvent], object], seconds: float
    ) -> Callable[[], None]:
        """Call a function at each event of a kind from now on; return what ends that."""
        now = self._monitor.look_now(_LOOK_SECONDS)
        subscription = _Subscription(kind, function, seconds)
        with self._lock:
            if self._last is None:
                self._last = now
            self._subscriptions.append(subscription)
            if self._thread is None and now.link.state is not LinkState.ENDED:
                name = f"qsession-events-{self._session.session_id or self._session.key}"
                self._thread = threading.Thread(target=self._run, name=name, daemon=True)
                self._thread.start()
        self._monitor.add(self)

        def stop() -> None:
            """Call the function no more. A call that has begun goes on."""
            self._unsubscribe(subscription)

        return stop

    def show(self, snapshot: Snapshot) -> None:
        """Find what has happened since the last snapshot. The monitor's thread calls this."""
        with self._lock:
            last, self._last = self._last or snapshot, snapshot
            for subscription in self._subscriptions:
                for event in self._found(subscription, last, snapshot):
                    self._calls.put((subscription, event))
            if snapshot.link.state is LinkState.ENDED:
                self._end_thread()

    def tell(self, notice: Notice) -> None:
        """Ignore the outcome of a command: it is what a user has just done."""

    def _unsubscribe(self, subscription: _Subscription) -> None:
        subscription.stopped = True
        with self._lock:
            if subscription not in self._subscriptions:
                return
            self._subscriptions.remove(subscription)
            if self._subscriptions:
                return
            self._end_thread()
            self._last = None
        self._monitor.remove(self)

    def _end_thread(self) -> None:
        """Let the thread end after the calls that wait; the lock is held."""
        if self._thread is not None:
            self._thread = None
            self._calls.put(None)
            self._calls = queue.SimpleQueue()

    def _run(self) -> None:
        calls = self._calls
        while (call := calls.get()) is not None:
            subscription, event = call
            if subscription.stopped:
                continue
            try:
                subscription.function(event)
            except Exception:
                # A fault in one function must not end the others.
                logger.exception(
                    "%r, subscribed to %r of %r, failed",
                    subscription.function,
                    event.kind,
                    self._session,
                )

    def _found(
        self, subscription: _Subscription, last: Snapshot, now: Snapshot
    ) -> Iterator[SessionEvent]:
        """Yield the events of a subscription between two snapshots."""
        name = now.name or now.session_id or now.backend_name
        what = f"Session {name}"
        was, state = last.session.state, now.session.state
        because = f": {now.state_reason}" if now.state_reason else ""
        known = last.status is not None
        entered = state if known and was != state else None
        match subscription.kind:
            case "active" if entered == SessionState.ACTIVE:
                if was != SessionState.PENDING_INACTIVE:
                    yield self._event(subscription, now, f"{what} is active.")
            case "inactive" if entered == SessionState.INACTIVE:
                yield self._event(subscription, now, f"{what} is inactive{because}.")
            case "closed" if entered == SessionState.CLOSED:
                if not (now.ended_here or self._session.ended_here):
                    yield self._event(subscription, now, f"{what} is closed{because}.")
            case "ends_soon" if not subscription.warned and state != SessionState.CLOSED:
                left = _seconds_left(now)
                if left is not None and left <= subscription.seconds:
                    subscription.warned = True
                    text = f"{what} ends in {max(round(left / 60), 1)} min at the latest."
                    yield self._event(subscription, now, text)
            case "job_failed" if now.jobs is not last.jobs:
                for row in _newly_failed(last.jobs, now.jobs):
                    reason = f": {row.reason}" if row.reason else ""
                    text = f"Job {row.id} of {what[:1].lower()}{what[1:]} failed{reason}"
                    yield self._event(subscription, now, text, row.id)

    def _event(
        self, subscription: _Subscription, now: Snapshot, text: str, job_id: str | None = None
    ) -> SessionEvent:
        return SessionEvent(subscription.kind, self._session, now.now, text, job_id)


def subscribe(
    session: Session,
    event: EventName,
    function: Callable[[SessionEvent], object],
    minutes: float,
) -> Callable[[], None]:
    """Do what `Session.on` says."""
    _kind("event", event)
    validation.function("function", function)
    seconds = _minutes("minutes", minutes) * 60.0
    return Watcher.of(session).subscribe(event, function, seconds)


def _seconds_left(snapshot: Snapshot) -> float | None:
    """Return how long a session may last at most from now; None while that is not known."""
    evidence = Evidence(snapshot.session, 0, 0, None, None)
    left = [each.ends_at for each in evidence.countdowns() if each.kind == "max"]
    return (left[0] - snapshot.now).total_seconds() if left else None


def _newly_failed(before: JobList, after: JobList) -> list[JobRow]:
    """Return the jobs that have failed since a list, oldest first; unchanged pages are skipped."""
    old = {id(page) for page in before.pages} & {id(page) for page in after.pages}
    known = {row.id for page in before.pages if id(page) not in old for row in _failed(page.rows)}
    rows = [row for page in after.pages if id(page) not in old for row in _failed(page.rows)]
    return [row for row in rows if row.id not in known]


def _failed(rows: tuple[JobRow, ...]) -> list[JobRow]:
    return [row for row in rows if row.state == JobState.FAILED]
