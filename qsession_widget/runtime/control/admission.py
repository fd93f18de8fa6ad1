"""Takes sessions and jobs: each once, and no more than there may be."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from qsession_widget.runtime.model import lifecycle
from qsession_widget.runtime.model.lifecycle import Session
from qsession_widget.runtime.store import idempotency as keys
from qsession_widget.runtime.store.store import Write

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable
    from typing import Any

    from qsession_widget.runtime.control.dispatcher import Dispatcher
    from qsession_widget.runtime.control.state import RuntimeState
    from qsession_widget.runtime.control.transitions import Transitions
    from qsession_widget.runtime.model.job import Job
    from qsession_widget.wire.states import Mode


KEYS = 4096
"""How many idempotency keys are remembered."""

_ids = random.Random()  # noqa: S311 - an id opens nothing: everything is asked for by its owner


class TooManyError(Exception):
    """There are as many of something as there may be."""

    def __init__(self, count: int, limit: int, what: str) -> None:
        super().__init__(f"{count} {what}")
        self.count, self.limit, self.what = count, limit, what


class KeyReusedError(Exception):
    """An idempotency key comes again with another request."""

    def __init__(self, key: str, first: str) -> None:
        super().__init__(f"Idempotency-Key {key!r:.80} was used for {first}, which is another one.")


class UnknownOwnerError(Exception):
    """The owner was removed while the request was on its way."""


@dataclass(frozen=True)
class NewSession:
    """A session that is asked for.

    Attributes:
        interactive_seconds: how long it may idle; None is as long as such a session may.
        active_seconds: longest stretch of activity; None is `max_seconds`.
    """

    owner: str
    backend: str
    mode: Mode
    max_seconds: int
    interactive_seconds: int | None = None
    active_seconds: int | None = None

    def made(self, session: Session) -> bool:
        """Whether a session may have come of this."""
        return (
            (session.backend, session.mode, session.max_seconds)
            == (self.backend, self.mode, self.max_seconds)
            and self.interactive_seconds in {None, session.interactive_seconds}
            and self.active_seconds in {None, session.active_seconds}
        )


class Admission:
    """Where sessions and jobs come in.

    Attributes:
        creating: what is being created for an idempotency key.
        opening: how many sessions of each owner are on their way to the disk.

    Args:
        state: what has not ended.
        steps: carries out changes.
        running: has a worker get ready for a new session.
        is_known: whether an owner may use the runtime at this moment.
    """

    def __init__(
        self,
        state: RuntimeState,
        transitions: Transitions,
        dispatcher: Dispatcher,
        is_known: Callable[[str], bool],
    ) -> None:
        self.creating: dict[tuple[str, str, str], _Creating] = {}
        self.opening: Counter[str] = Counter()
        self._keys: dict[int, None] = {}
        self._before: dict[str, Session] = {}
        self._state = state
        self._transitions = transitions
        self._dispatcher = dispatcher
        self._is_known = is_known

    def remember(self, keys: Iterable[tuple[str, str]]) -> None:
        """Take what was asked for by earlier runtimes for seen: owners, and their keys."""
        for owner, key in keys:
            self._is_new(owner, key)

    async def create_session(self, wanted: NewSession, key: str | None) -> str:
        """Open a session; returns its id once it is on disk.

        Raises:
            TooManyError: where its owner has as many already as they may.
            KeyReusedError: where the key was used for another session.
            UnknownOwnerError: where its owner was removed meanwhile.
        """

        async def create() -> str:
            self._check_owner(wanted.owner)
            self._check_sessions(wanted.owner)
            session = lifecycle.create(self._session(wanted))
            # It counts from here on, not only when it is on disk.
            self.opening[session.owner] += 1
            stored = self._state.write(Write(new_session=(session, key)))
            stored.add_done_callback(partial(self._open, session))
            # Whoever hangs up must not keep it from what follows.
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
        """Go on with a session that is on disk."""
        self.opening[session.owner] -= 1
        if not self.opening[session.owner]:
            del self.opening[session.owner]
        if stored.cancelled() or stored.exception() is not None:
            return
        self._transitions.keep_session(session)
        self._dispatcher.warm(session)
        self._state.wake_up.request()
        if not self._is_known(session.owner):
            self._transitions.apply(lifecycle.cancel(session, self._state.now))

    async def submit(self, job: Job, params: str, key: str | None) -> str:
        """Take a job; returns its id once it is on disk.

        A job starts while it is on its way to the disk, if it can start at once; nobody hears of it
        before it is there.

        Args:
            job: the job as asked for; it gets its id and its time here.
            params: JSON text of its payload.
            key: the request's idempotency key.

        Raises:
            lifecycle.NotAcceptingJobsError: the job's session takes no more jobs.
            TooManyError: where as many jobs as may be have not ended.
            KeyReusedError: where the key was used for another job.
            UnknownOwnerError: where its owner was removed meanwhile.
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
                # Nothing is touched for what is there already.
                return known
            self._check_owner(job.owner)
            self._check_pending(job.owner)
            new = replace(
                job, id=_new_job_id(), created_at=state.now, revision=state.next_revision()
            )
            session = None
            if new.session_id is not None:
                session = self._transitions.current(new.session_id)
                if session is None:
                    raise lifecycle.NotAcceptingJobsError(new.session_id)
                submitted = lifecycle.submit(session)
                self._before[new.id] = session
                session = self._transitions.put_session(submitted)
            state.add(new)
            state.arriving[new.id] = None
            sessions = (session,) if session is not None else ()
            # A session that a job would activate is left alone until there is such a job.
            early = (
                not repeated
                and (session is None or session.prioritised)
                and state.keep_payload(new.id, params)
            )
            if early:
                # Before the writer is called, so that the worker has it first.
                self._transitions.enqueue(new)
                state.wake_up.request()
            stored = state.write(Write(new_job=(new, params, key), sessions=sessions))
            stored.add_done_callback(partial(self._settle, new, None if early else params))
            # Whoever hangs up must not keep it from what follows.
            await asyncio.shield(stored)
            return new.id

        asked = (_asked(job), params)
        return await self._once(_Place("job", job.owner, key), asked, find, create)

    def _settle(self, job: Job, params: str | None, stored: asyncio.Future[None]) -> None:
        """Let a job that is on disk go on, or undo it where it could not be stored.

        Args:
            job: as it came.
            params: its payload, if it waits to be put into its queue.
            stored: how the storing went.
        """
        state = self._state
        ended = state.arriving.pop(job.id)
        before = self._before.pop(job.id, None)
        known = state.jobs.get(job.id)
        state.wake_up.request()
        if known is None:
            # It has ended while it was stored: its session was cancelled.
            return
        if stored.cancelled() or stored.exception() is not None:
            self._transitions.withdraw(known, before)
            return
        if params is not None:
            self._transitions.enqueue(known)
            state.keep_payload(job.id, params)
        if ended is not None:
            self._dispatcher.take(job.id, ended)

    def _is_new(self, owner: str, key: str) -> bool:
        """Whether a key has not been seen lately: what is asked for again may be there already."""
        # A digest, since a key may be long. Two that share one are only looked for more carefully.
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
        count = sum(each.owner == owner for each in self._state.sessions.values())
        count += self.opening.get(owner, 0)
        limit = self._state.settings.max_open_sessions
        if count >= limit:
            raise TooManyError(count, limit, "open sessions")

    def _check_pending(self, owner: str) -> None:
        pending, limit = self._state.pending[owner], self._state.settings.max_pending_jobs
        if pending >= limit:
            raise TooManyError(pending, limit, "pending jobs")
        in_total, limit = len(self._state.jobs), self._state.settings.max_pending_jobs_in_total
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
            revision=self._state.next_revision(),
        )

    async def _once(
        self,
        place: _Place,
        asked: object,
        find: Callable[[], Coroutine[Any, Any, str | None]],
        create: Callable[[], Coroutine[Any, Any, str]],
    ) -> str:
        """Create something once for each idempotency key, however often it is asked for.

        Nearly every key is a new one, so it is only looked for where the creating fails.
        """
        if place.key is None:
            return await create()

        async def create_or_find() -> str:
            try:
                return await create()
            except KeyReusedError:
                raise
            except Exception:
                # Refused for its key, or for another reason that the first one did not meet.
                found = await find()
                if found is None:
                    raise
                return found

        found = self.creating.get((place.kind, place.owner, place.key))
        if found is None:
            found = _Creating(asked, asyncio.create_task(create_or_find()))
            known = (place.kind, place.owner, place.key)
            self.creating[known] = found
            found.task.add_done_callback(lambda _: self.creating.pop(known))
        elif found.asked != asked:
            raise KeyReusedError(place.key, f"another {place.kind}")
        # A client that hangs up must not undo what another request for the same key waits for.
        return await asyncio.shield(found.task)


class _Place(NamedTuple):
    kind: str
    owner: str
    key: str | None


class _Creating(NamedTuple):
    """What is being created for a key, and what was asked for."""

    asked: object
    task: asyncio.Task[str]


def _asked(job: Job) -> tuple[object, ...]:
    """Give what tells a job from another one as it is asked for; its tags may change later on."""
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
    """Make an id of twenty characters, as IBM's are. It is no secret, only nobody else's."""
    return f"{_ids.getrandbits(80):020x}"
