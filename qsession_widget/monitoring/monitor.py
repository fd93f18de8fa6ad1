"""Watches a session on a polling thread: takes snapshots, shows them, and carries out commands.

Any number of panels share a monitor. Only the polling thread calls them, since ipywidgets loses
updates when two threads set traits. Commands run on a second thread, because the first one may wait
in a held request, which the effect of the command on the service then ends.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
import uuid
import weakref
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from qsession_widget.errors import ConflictError, QSessionError, ServiceUnavailableError
from qsession_widget.monitoring.pace import Pace
from qsession_widget.monitoring.redaction import without_secrets
from qsession_widget.monitoring.snapshot import Link, LinkState, Notice, Snapshot
from qsession_widget.monitoring.snapshot_sources import WATCHED_SECONDS, OnService, OwnJobs
from qsession_widget.support import forking
from qsession_widget.transport.http import hurried, unattended

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from qsession_widget.client.session import Session
    from qsession_widget.monitoring.snapshot_sources import Source

logger = logging.getLogger(__name__)

UNWATCHED_SECONDS = 10.0
"""Length of a round when the panel is not looked at; most of it is a pause that commands end."""

LONGEST_UNWATCHED_SECONDS = 60.0
"""Longest such round: a round grows to a tenth of the time since the panel was looked at."""
_UNWATCHED_PART = 0.1

CORE_SHARE = 0.007
"""Largest share of a core for the polling thread, even while jobs end all the time."""
_RESERVE_SECONDS = 0.006

LONGEST_PAUSE_SECONDS = 15.0
"""Longest pause between attempts while the service cannot be reached."""


_STOPPED = "The local runtime was stopped. The next cell that uses it starts it again."


class Listener(Protocol):
    """Something to which a monitor shows its snapshots."""

    @property
    def looked_at(self) -> bool:
        """Whether a user may be looking at it."""

    def show(self, snapshot: Snapshot) -> None:
        """Draw a snapshot. Called on the monitor's thread only."""

    def tell(self, notice: Notice) -> None:
        """Show the outcome of a command. Called on the monitor's thread only."""


class Asker(Listener, Protocol):
    """A listener that may also ask questions."""

    def answer(self, answer: dict[str, Any]) -> None:
        """Receive the answer to a question. Called on the monitor's thread only."""


@dataclass(frozen=True)
class _Command:
    """A command of a user.

    Attributes:
        name: as its button names it.
        run: carries it out and returns its outcome as text, None for no message.
        ref: the sender's name for the command.
    """

    name: str
    run: Callable[[], str | None]
    ref: str | None = None


class Monitor:
    """Watches one session. `Monitor.of(session)` returns it.

    Attributes:
        session: the session.
        snapshot: the last one.
    """

    _all: ClassVar[weakref.WeakValueDictionary[str, Monitor]] = weakref.WeakValueDictionary()
    _all_lock = forking.Lock()

    def __init__(self, session: Session) -> None:
        self.session = session
        self.snapshot = Snapshot(
            key=session.key,
            session_id=session.session_id,
            backend_name=session.backend(),
            simulator=session.simulator,
            name=session.name,
            cell_id=session.cell_id,
            link=Link(LinkState.CONNECTING, since=datetime.now(UTC)),
        )
        self._begin()
        forking.heed(self)

    def _begin(self) -> None:
        """Set the initial state: no threads, no listeners, no commands."""
        watchable = self.session.session_id is not None
        self._source: Source = OnService(self.session) if watchable else OwnJobs(self.session)
        self._listeners: weakref.WeakSet[Listener] = weakref.WeakSet()
        self._lock = threading.Lock()
        self._looked = threading.Condition(self._lock)
        self._wake = threading.Event()
        self._commands: queue.SimpleQueue[_Command | None] = queue.SimpleQueue()
        self._notices: queue.SimpleQueue[Notice] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[tuple[Asker, dict[str, Any]]] = queue.SimpleQueue()
        self._unanswered = 0
        self._showing = False
        self._waiting = 0
        self._thread: threading.Thread | None = None
        self._last_looked_at = time.monotonic()

    def after_fork(self) -> None:
        """Reset in a forked child: threads, panels and browser belong to the parent."""
        self._begin()

    @classmethod
    def of(cls, session: Session) -> Monitor:
        """Return the one monitor of a session, created at the first call."""
        key = session.session_id or session.key
        with cls._all_lock:
            known = cls._all.get(key)
        if known is not None:
            return known
        # Created without the lock: it may ask the service for the session's backend.
        made = cls(session)
        with cls._all_lock:
            return cls._all.setdefault(key, made)

    @property
    def listeners(self) -> list[Listener]:
        """The listeners to which snapshots are shown."""
        with self._lock:
            return list(self._listeners)

    @property
    def alive(self) -> bool:
        """Whether the polling thread runs."""
        thread = self._thread
        return thread is not None and thread.is_alive()

    def add(self, listener: Listener) -> None:
        """Show every further snapshot to a listener, which is referenced weakly."""
        with self._lock:
            self._listeners.add(listener)
        # A listener may also be forgotten: then nothing calls `remove`.
        weakref.finalize(listener, self._wake.set).atexit = False
        self.start()

    def remove(self, listener: Listener) -> None:
        """Stop showing snapshots to a listener; the threads end with the last one."""
        with self._lock:
            self._listeners.discard(listener)
            self._wake_to_end()

    def start(self) -> None:
        """Start the threads if they do not run and there is something to watch."""
        with self._lock:
            if self.snapshot.link.state is not LinkState.ENDED:
                self._start_threads()

    def _start_threads(self) -> None:
        """Start the threads if they do not run; the lock is held."""
        if self._thread is None:
            name = f"qsession-monitor-{self.session.session_id or self.session.key}"
            self._thread = threading.Thread(target=self._watch, name=name, daemon=True)
            self._thread.start()
            threading.Thread(target=self._obey, name=f"{name}-commands", daemon=True).start()

    @property
    def has_answered(self) -> bool:
        """Whether every command and question so far has its answer, and listeners were told."""
        told = not self._showing and self._notices.empty() and self._answers.empty()
        return told and self._unanswered == 0

    def look_now(self, timeout_seconds: float) -> Snapshot:
        """Ask the service; return a new snapshot, or the last one if the time runs out."""
        before = self.snapshot.beat
        self.refresh()
        return self.wait_for(
            lambda seen: seen.beat > before or seen.link.state is LinkState.ENDED, timeout_seconds
        )

    def wait_for(self, seen: Callable[[Snapshot], bool], timeout_seconds: float) -> Snapshot:
        """Watch until a condition holds or the time runs out; return the last snapshot."""
        with self._looked:
            self._waiting += 1
            try:
                if self.snapshot.link.state is not LinkState.ENDED:
                    self._start_threads()
                self._looked.wait_for(lambda: seen(self.snapshot), timeout_seconds)
            finally:
                self._waiting -= 1
                self._wake_to_end()
            return self.snapshot

    # -- commands: any thread may send them; they run on their own thread ---------------------

    # Each is answered by a notice with the same `ref`.

    def close_session(self, ref: str | None = None) -> None:
        """Close the session: it takes no new jobs and finishes those that it has."""

        def close() -> str:
            self.session.close()
            return "The session takes no new jobs."

        self._command(_Command("Close session", close, ref))

    def cancel_session(self, ref: str | None = None) -> None:
        """Cancel the session: no new jobs, queued ones are cancelled, running ones finish."""

        def cancel() -> str:
            self.session.cancel()
            return "The session takes no new jobs, and what was queued is cancelled."

        self._command(_Command("Cancel session", cancel, ref))

    def cancel_queued(self, ref: str | None = None) -> None:
        """Cancel the queued jobs, and leave the session open."""

        def cancel() -> str:
            count = len(self.session.cancel_queued_jobs())
            if count == 0:
                return "No job was queued."
            return f"{count} queued {'job was' if count == 1 else 'jobs were'} cancelled."

        self._command(_Command("Cancel queued", cancel, ref))

    def cancel_job(self, job_id: str, ref: str | None = None) -> None:
        """Cancel one job of the session."""

        def cancel() -> str:
            ended = "was cancelled" if self._cancel(job_id) else "had already ended"
            return f"Job {job_id} {ended}."

        self._command(_Command("Cancel job", cancel, ref))

    def cancel_jobs(self, job_ids: Sequence[str], ref: str | None = None) -> None:
        """Cancel some jobs of the session."""

        def cancel() -> str:
            count = sum(self._cancel(job_id) for job_id in job_ids)
            late = len(job_ids) - count
            rest = f", {late} had already ended" if late else ""
            return f"{count} of {len(job_ids)} jobs were cancelled{rest}."

        self._command(_Command("Cancel selected", cancel, ref))

    def close_other(self, session_id: str, ref: str | None = None) -> None:
        """Close another session of the same user, for example one that has the device."""

        def close() -> str:
            self.session.service.api.close_session(session_id)
            return f"Session {session_id} takes no new jobs."

        self._command(_Command("Close the other session", close, ref))

    def start_runtime(self, ref: str | None = None) -> None:
        """Start the local runtime, if the session is on one that was stopped."""

        def start() -> str:
            # Any request of this thread starts it; those of the polling thread do not.
            self.session.service.api.about()
            return "The local runtime runs."

        self._command(_Command("Start", start, ref))

    def advance_clock(self, seconds: float, ref: str | None = None) -> None:
        """Advance the service's clock, which has to be virtual."""

        def advance() -> str:
            now = self.session.service.api.advance_clock(seconds, key=str(uuid.uuid4()))
            return f"It is now {now}."

        self._command(_Command("Advance the clock", advance, ref))

    def ask(self, asker: Asker, question: Callable[[], dict[str, Any]]) -> None:
        """Ask the service a question, and pass the answer to the asker."""

        def find_out() -> None:
            self._answers.put((asker, question()))

        self._command(_Command("Look into a job", find_out))

    def refresh(self) -> None:
        """Take the next snapshot now."""
        self._wake.set()

    def _cancel(self, job_id: str) -> bool:
        """Cancel a job; return whether that was still possible."""
        try:
            self.session.service.api.cancel_job(job_id)
        except ConflictError:
            return False
        return True

    def _command(self, command: _Command) -> None:
        with self._lock:
            self._unanswered += 1
            self._commands.put(command)
            # Also if the session is over: the user gets an answer then, too.
            self._start_threads()

    @hurried()
    def _obey(self) -> None:
        while (command := self._commands.get()) is not None:
            level = "info"
            try:
                text = command.run()
            except QSessionError as error:
                level, text = "error", str(error)
            except Exception as error:
                # A bug must not end the thread: later commands need it.
                logger.exception("%r of %r failed", command.name, self.session)
                level, text = "error", f"internal error: {type(error).__name__}: {error}"
            if text is not None:
                told = Notice(level, without_secrets(text), command.name, command.ref)
                self._notices.put(told)
            with self._lock:
                self._unanswered -= 1
            self._wake.set()

    # -- the polling thread --------------------------------------------------------------------

    @unattended()
    def _watch(self) -> None:
        failures = 0
        pace = Pace(CORE_SHARE, _RESERVE_SECONDS, WATCHED_SECONDS)
        while True:
            # A caller that woke this thread wants an answer now, not at the next change.
            hold = not self._wake.is_set()
            self._wake.clear()
            failures = 0 if self._look(failures, hold=hold) else failures + 1
            self._show()
            if self._ends():
                return
            self._wake.wait(max(self._pause_seconds(failures), pace.pause_seconds()))
            if self._ends():
                return

    def _ends(self) -> bool:
        """End both threads if there is nothing to watch, or no listener is left."""
        with self._looked:
            self._looked.notify_all()
            # The answer to a command that ends the session comes after the end was seen.
            ended = self.snapshot.link.state is LinkState.ENDED
            if not self.has_answered or not (ended or self._unheeded()):
                return False
            self._commands.put(None)
            self._thread = None
            return True

    def _unheeded(self) -> bool:
        """Return whether no listener and no caller waits for snapshots; the lock is held."""
        return self._waiting == 0 and len(self._listeners) == 0

    def _wake_to_end(self) -> None:
        """Let the threads end now if they are not needed; the lock is held."""
        if self._unheeded():
            self._wake.set()

    def _look(self, failures: int, *, hold: bool) -> bool:
        """Take a new snapshot; on an error, keep the last one and record the error."""
        last, round_seconds = self.snapshot, self._round_seconds()
        trouble: str | None = None
        stopped = False
        try:
            found = self._source.look(last, hold=hold)
        except QSessionError as error:
            found, trouble = last, str(error)
            stopped = isinstance(error, ServiceUnavailableError) and self._startable()
        except Exception as error:
            # This thread survives whatever a service sends: it is what reports the error.
            logger.exception("watching %r failed", self.session)
            found, trouble = last, f"internal error: {type(error).__name__}: {error}"
        if trouble is None:
            # The length of the pause is known only after the request.
            round_seconds = max(round_seconds, self._source.pause_seconds(round_seconds))
            link = Link(LinkState.ENDED if found.ended else LinkState.LIVE, datetime.now(UTC))
        else:
            pause = self._pause_seconds(failures + 1)
            round_seconds = max(round_seconds, pause)
            text = without_secrets(trouble)
            cure = _STOPPED if stopped else None
            link = Link(LinkState.RETRYING, datetime.now(UTC), text, pause, cure, stopped)
        if (link.state, link.error) == (last.link.state, last.link.error):
            link = replace(link, since=last.link.since)
        with self._looked:
            self.snapshot = replace(
                found,
                link=link,
                beat=last.beat + 1,
                seen_at=datetime.now(UTC),
                every_seconds=round_seconds,
                total=self.session.total_jobs,
                ended_here=self.session.ended_here,
            )
            self._looked.notify_all()
        return link.state is not LinkState.RETRYING

    def _startable(self) -> bool:
        return self.session.service.api.transport.startable

    def _show(self) -> None:
        self._showing = True
        notices = []
        while not self._notices.empty():
            notices.append(self._notices.get())
        for listener in self.listeners:
            try:
                listener.show(self.snapshot)
                for notice in notices:
                    listener.tell(notice)
            except Exception:
                # A panel that cannot be drawn must not stop the others.
                logger.exception("%r could not show a snapshot", listener)
        while not self._answers.empty():
            asker, answer = self._answers.get()
            try:
                asker.answer(answer)
            except Exception:
                # Nor must a panel that cannot take its answer, for example without a comm.
                logger.exception("%r could not take an answer", asker)
        self._showing = False

    def _round_seconds(self) -> float:
        now = time.monotonic()
        if any(_is_looked_at(listener) for listener in self.listeners):
            self._last_looked_at = now
            return WATCHED_SECONDS
        unwatched = (now - self._last_looked_at) * _UNWATCHED_PART
        return min(max(unwatched, UNWATCHED_SECONDS), LONGEST_UNWATCHED_SECONDS)

    def _pause_seconds(self, failures: int) -> float:
        if failures:
            return float(min(2 ** (failures - 1), LONGEST_PAUSE_SECONDS))
        return self._source.pause_seconds(self._round_seconds())


def _is_looked_at(listener: Listener) -> bool:
    try:
        return listener.looked_at
    except Exception:
        # Count it as looked at: an error in one panel must not end the thread of all.
        logger.exception("%r cannot say whether it is looked at", listener)
        return True
