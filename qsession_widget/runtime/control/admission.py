"""Admits sessions and jobs: each request once, and within the limits."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from qsession_widget.runtime.control.abandonment import has_ended
from qsession_widget.runtime.model import lifecycle
from qsession_widget.runtime.model.lifecycle import Session
from qsession_widget.runtime.store import idempotency as keys
from qsession_widget.runtime.store.writes import AddJob, AddSession

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable
    from typing import Any

    from qsession_widget.runtime.control.dispatcher import Dispatcher
    from qsession_widget.runtime.control.heartbeats import Heartbeats
    from qsession_widget.runtime.control.state import RuntimeState
    from qsession_widget.runtime.control.transitions import Transitions
    from qsession_widget.runtime.model.job import Job
    from qsession_widget.runtime.pieces import Content, LongText
    from qsession_widget.wire.states import Mode


KEYS = 4096
"""How many idempotency keys are remembered."""

_ids = random.Random()  # noqa: S311 - an id is no secret: only a job's owner can read it


class TooManyError(Exception):
    """The limit of something is reached."""

    def __init__(self, count: int, limit: int, what: str) -> None:
        super().__init__(f"{count} {what}")
        self.count, self.limit, self.what = count, limit, what


class KeyReusedError(Exception):
    """An idempotency key was used again for a different request."""

    def __init__(self, key: str, first: str) -> None:
        super().__init__(f"Idempotency-Key {key!r:.80} was used for {first}, which is another one.")


class UnknownOwnerError(Exception):
    """The owner was removed while the request was handled."""


@dataclass(frozen=True)
class NewSession:
    """A session as it was requested.

    Attributes:
        interactive_seconds: how long it may idle; None is the limit of its mode.
        active_seconds: longest stretch of activity; None is `max_seconds`.
        name: by which its owner recognises it; empty if it has none.
        place: the notebook or the script that opens it; empty if not known.
        process: the process that opens it; empty if not known.
    """

    owner: str
    backend: str
    mode: Mode
    max_seconds: int
    interactive_seconds: int | None = None
    active_seconds: int | None = None
    name: str = ""
    place: str = ""
    process: str = ""

    def made(self, session: Session) -> bool:
        """Whether a session may be the result of this request."""
        return (
            (session.backend, session.mode, session.max_seconds)
            == (self.backend, self.mode, self.max_seconds)
            and self.interactive_seconds in {None, session.interactive_seconds}
            and self.active_seconds in {None, session.active_seconds}
        )


class Admission:
    """Admits sessions and jobs: checks limits and idempotency keys, and stores what is new.

    Args:
        state: the unfinished sessions and jobs.
        transitions: carries out changes.
        dispatcher: prepares a worker for a new session, and handles ends that were held.
        heartbeats: the reports of programs elsewhere.
        is_known: whether an owner may use the runtime at present.
    """

    def __init__(
        self,
        state: RuntimeState,
        transitions: Transitions,
        dispatcher: Dispatcher,
        heartbeats: Heartbeats,
        is_known: Callable[[str], bool],
    ) -> None:
        # By idempotency key.
        self._creating: dict[tuple[str, str, str], _Creating] = {}
        # How many sessions of each owner are on their way to the disk.
        self._opening: Counter[str] = Counter()
        self._keys: dict[int, None] = {}
        self._state = state
        self._transitions = transitions
        self._dispatcher = dispatcher
        self._heartbeats = heartbeats
        self._is_known = is_known

    def remember(self, keys: Iterable[tuple[str, str]]) -> None:
        """Take note of the owners and keys of requests to earlier runtimes."""
        for owner, key in keys:
            self._is_new(owner, key)

    async def create_session(self, wanted: NewSession, key: str | None) -> str:
        """Open a session; returns its id once it is on disk.

        Raises:
            TooManyError: its owner has as many open sessions as allowed.
            KeyReusedError: the key was used for a different session.
            UnknownOwnerError: its owner was removed meanwhile.
        """

        async def create() -> str:
            self._check_owner(wanted.owner)
            self._check_sessions(wanted.owner)
            session = lifecycle.create(self._session(wanted))
            # It counts from here on, not only when it is on disk.
            self._opening[session.owner] += 1
            stored = self._state.write(AddSession(session, key))
            stored.add_done_callback(partial(self._open, session))
            # A client that hangs up must not stop the rest.
            await asyncio.shield(stored)
            return session.id

        async def find() -> str | None:
            if key is None:
                return None
            known = await self._state.store.read(keys.find_session, wanted.owner, key)
            if known is not None and not wanted.made(known):
                raise KeyReusedError(key, f"session {known.id}")
            return None if known is None else known.id

        return await self._once(_Place("session", wanted.owner, key), wanted, find, create)

    def _open(self, session: Session, stored: asyncio.Future[None]) -> None:
        """Open a session that is on disk; forget it if it could not be stored."""
        self._opening[session.owner] -= 1
        if not self._opening[session.owner]:
            del self._opening[session.owner]
        if stored.cancelled() or stored.exception() is not None:
            return
        self._transitions.keep_session(session)
        self._dispatcher.warm(session)
        self._state.wake_up.request()
        if not self._is_known(session.owner):
            self._transitions.apply(lifecycle.cancel(session, self._state.now))

    async def submit(
        self, job: Job, params: str | Content, key: str | None, process: str = ""
    ) -> str:
        """Admit a job; returns its id once it is on disk.

        A job that can start at once does so while it is on its way to the disk; no client sees it
        before it exists.

        Args:
            job: the job as requested; it gets its id and its time here.
            params: JSON text of its payload, a long one in pieces.
            key: the request's idempotency key.
            process: the process that sends it (`wire/processes`); empty if it is not known.

        Raises:
            lifecycle.NotAcceptingJobsError: the job's session accepts no more jobs.
            TooManyError: there are as many unfinished jobs as allowed.
            KeyReusedError: the key was used for a different job.
            UnknownOwnerError: its owner was removed meanwhile.
        """
        state = self._state
        repeated = key is not None and not self._is_new(job.owner, key)

        async def find() -> str | None:
            if key is None:
                return None
            found = await state.store.read(keys.find_job, job.owner, key, params)
            if found is None:
                return None
            known, same_params = found
            if not (same_params and _asked(known) == _asked(job)):
                raise KeyReusedError(key, f"job {known.id}")
            return known.id

        async def create() -> str:
            if repeated and (known := await find()) is not None:
                # Nothing changes for a job that exists already.
                return known
            self._check_owner(job.owner)
            self._check_pending(job.owner)
            if isinstance(params, str):
                return await self._add(job, params, key, process, repeated=repeated)
            kept = await state.store.keep(params)
            try:
                # What was right before may not be so any more.
                self._check_owner(job.owner)
                self._check_pending(job.owner)
                return await self._add(job, kept, key, process, repeated=repeated)
            except Exception:
                state.store.drop(kept)
                raise

        asked = (_asked(job), params if isinstance(params, str) else params.digest)
        return await self._once(_Place("job", job.owner, key), asked, find, create)

    async def _add(
        self,
        job: Job,
        params: str | LongText,
        key: str | None,
        process: str,
        *,
        repeated: bool,
    ) -> str:
        """Add a job that is within the limits; returns its id once it is on disk.

        Args:
            job: the job as requested.
            params: its payload.
            key: the request's idempotency key.
            process: the process that sends it.
            repeated: whether the key may have come before.
        """
        state = self._state
        before = self._session_for(job)
        session = None
        if before is not None:
            ended = partial(has_ended, self._heartbeats, before.owner)
            session = lifecycle.submit(before, process, ended)
        new = replace(job, id=_new_job_id(), created_at=state.now, revision=state.next_revision())
        if session is not None:
            session = self._transitions.put_session(session)
        state.admit(new, before)
        sessions = (session,) if session is not None else ()
        # A job that would activate its session has to be on disk first.
        early = (
            not repeated
            and (session is None or session.prioritised)
            and state.at_hand.keep_payload(new.id, params)
        )
        if early:
            # Before the writer is called, so that the worker gets it first.
            self._transitions.enqueue(new)
            state.wake_up.request()
        stored = state.write(AddJob(new, params, key, sessions))
        stored.add_done_callback(partial(self._settle, new, None if early else params))
        # A client that hangs up must not stop the rest.
        await asyncio.shield(stored)
        return new.id

    def _session_for(self, job: Job) -> Session | None:
        """Return the session of a new job, None if it has none."""
        if job.session_id is None:
            return None
        session = self._transitions.current(job.session_id)
        if session is None:
            raise lifecycle.NotAcceptingJobsError(job.session_id)
        return session

    def _settle(
        self, job: Job, params: str | LongText | None, stored: asyncio.Future[None]
    ) -> None:
        """Let a job that is on disk go on, or undo it if it could not be stored.

        Args:
            job: the job as it was admitted.
            params: its payload, if it is not in its queue yet.
            stored: the outcome of storing it.
        """
        state = self._state
        arrival = state.settle(job.id)
        state.wake_up.request()
        if arrival is None:
            # It ended while it was stored: its session was cancelled.
            return
        known = state.require(job.id)
        if stored.cancelled() or stored.exception() is not None:
            self._transitions.withdraw(known, arrival.before)
            return
        if params is not None:
            self._transitions.enqueue(known)
            state.at_hand.keep_payload(job.id, params)
        if arrival.end is not None:
            self._dispatcher.receive(job.id, self._state.attempt(job.id), arrival.end)

    def _is_new(self, owner: str, key: str) -> bool:
        """Whether a key was not seen lately. If it was, its job may exist already."""
        # A hash, since a key may be long. A collision only costs a look at the store.
        place = hash((owner, key))
        new = place not in self._keys
        self._keys[place] = None
        if len(self._keys) > KEYS:
            del self._keys[next(iter(self._keys))]
        return new

    def _check_owner(self, owner: str) -> None:
        if not self._is_known(owner):
            raise UnknownOwnerError(owner)

    def _check_sessions(self, owner: str) -> None:
        count = len(self._state.sessions(owner)) + self._opening.get(owner, 0)
        limit = self._state.settings.max_open_sessions
        if count >= limit:
            raise TooManyError(count, limit, "open sessions")

    def _check_pending(self, owner: str) -> None:
        pending, limit = self._state.pending(owner), self._state.settings.max_pending_jobs
        if pending >= limit:
            raise TooManyError(pending, limit, "pending jobs")
        in_total, limit = self._state.unfinished, self._state.settings.max_pending_jobs_in_total
        if in_total >= limit:
            raise TooManyError(in_total, limit, "pending jobs of all users")

    def _session(self, wanted: NewSession) -> Session:
        limit = self._state.settings.interactive_limit(wanted.mode)
        idle, active = wanted.interactive_seconds, wanted.active_seconds
        return Session(
            id=str(uuid.uuid4()),
            owner=wanted.owner,
            backend=wanted.backend,
            mode=wanted.mode,
            max_seconds=wanted.max_seconds,
            interactive_seconds=limit if idle is None else idle,
            active_seconds=wanted.max_seconds if active is None else active,
            first_job_seconds=self._state.settings.first_job_seconds,
            created_at=self._state.now,
            name=wanted.name,
            place=wanted.place,
            processes=(wanted.process,) if wanted.process else (),
            revision=self._state.next_revision(),
        )

    async def _once(
        self,
        place: _Place,
        asked: object,
        find: Callable[[], Coroutine[Any, Any, str | None]],
        create: Callable[[], Coroutine[Any, Any, str]],
    ) -> str:
        """Create something once for each idempotency key, however often it is requested.

        Nearly every key is new, so the store is only asked for it where creating fails.
        """
        if place.key is None:
            return await create()

        async def create_or_find() -> str:
            try:
                return await create()
            except KeyReusedError:
                raise
            except Exception:
                # Refused for its key, or for another reason that came up after the first request.
                found = await find()
                if found is None:
                    raise
                return found

        found = self._creating.get((place.kind, place.owner, place.key))
        if found is None:
            found = _Creating(asked, asyncio.create_task(create_or_find()))
            known = (place.kind, place.owner, place.key)
            self._creating[known] = found
            found.task.add_done_callback(lambda _: self._creating.pop(known))
        elif found.asked != asked:
            raise KeyReusedError(place.key, f"another {place.kind}")
        # A client that hangs up must not cancel this for another request with the same key.
        return await asyncio.shield(found.task)


class _Place(NamedTuple):
    kind: str
    owner: str
    key: str | None


class _Creating(NamedTuple):
    """A request with a key that is being handled."""

    asked: object
    task: asyncio.Task[str]


def _asked(job: Job) -> tuple[object, ...]:
    """Return what identifies a job's request; its tags may change later."""
    return (
        job.backend,
        job.program_id,
        job.session_id,
        job.cost_seconds,
        job.optimization_level,
        job.private,
        job.image,
        job.log_level,
    )


def _new_job_id() -> str:
    """Return an id of twenty characters, like IBM's. It has to be unique, not secret."""
    return f"{_ids.getrandbits(80):020x}"
