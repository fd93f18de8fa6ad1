"""Takes sessions and jobs: each once, and no more than there may be."""

from __future__ import annotations

import asyncio
import random
import uuid
from functools import partial
from typing import TYPE_CHECKING

from msgspec.structs import replace

from qsession_widget.runtime import lifecycle
from qsession_widget.runtime.lifecycle import Session
from qsession_widget.runtime.store import Write
from qsession_widget.wire.states import Mode

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

    from qsession_widget.runtime.job import Job
    from qsession_widget.runtime.live import Live
    from qsession_widget.runtime.running import Running
    from qsession_widget.runtime.steps import Steps


_KEYS = 4096
"""How many idempotency keys are remembered."""

_ids = random.Random()  # noqa: S311 - an id opens nothing: everything is asked for by its owner


class TooManyError(Exception):
    """There are as many of something as there may be."""

    def __init__(self, count: int, limit: int, what: str) -> None:
        super().__init__(f"{count} {what}")
        self.count, self.limit, self.what = count, limit, what


class Intake:
    """Where sessions and jobs come in.

    Args:
        live: what has not ended.
        steps: carries out changes.
        running: has a worker get ready for a new session.
    """

    def __init__(self, live: Live, steps: Steps, running: Running) -> None:
        self.creating: dict[tuple[str, str, str], asyncio.Task[str]] = {}
        self._keys: dict[tuple[str, str], None] = {}
        self._live = live
        self._steps = steps
        self._running = running

    async def create_session(
        self, owner: str, backend: str, mode: Mode, max_seconds: int, key: str | None
    ) -> str:
        """Open a session; returns its id once it is on disk.

        Raises:
            TooManyError: where its owner has as many already as he may.
        """

        async def create() -> str:
            count = sum(each.owner == owner for each in self._live.sessions.values())
            limit = self._live.settings.max_open_sessions
            if count >= limit:
                raise TooManyError(count, limit, "open sessions")
            session = lifecycle.create(
                Session(
                    id=str(uuid.uuid4()),
                    owner=owner,
                    backend=backend,
                    mode=mode,
                    max_seconds=max_seconds,
                    interactive_seconds=self._idle_limit_seconds(mode),
                    active_seconds=max_seconds,
                    first_job_seconds=self._live.settings.first_job_seconds,
                    created_at=self._live.now,
                    revision=self._live.next_revision(),
                )
            )
            await self._live.store.write(Write(new_session=(session, key)))
            self._steps.keep_session(session)
            self._running.warm(session)
            self._live.bell.ring()
            return session.id

        return await self._once("session", owner, key, self._live.store.session_by_key, create)

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
        """
        live = self._live
        repeated = key is not None and not self._is_new(job.owner, key)

        async def create() -> str:
            self._check_pending(job.owner)
            new = replace(job, id=_new_job_id(), created_at=live.now, revision=live.next_revision())
            session = None
            if new.session_id is not None:
                session = self._steps.current(new.session_id)
                if session is None:
                    raise lifecycle.NotAcceptingJobsError(new.session_id)
                session = self._steps.put_session(lifecycle.submit(session))
            live.add(new)
            live.arriving[new.id] = None
            sessions = (session,) if session is not None else ()
            # A session that a job would activate is left alone until there is such a job.
            early = (
                not repeated
                and (session is None or session.prioritised)
                and live.keep_payload(new.id, params)
            )
            if early:
                # Before the writer is called, so that the worker has it first.
                self._steps.enqueue(new)
                live.bell.ring()
            stored = live.write(Write(new_job=(new, params, key), sessions=sessions))
            stored.add_done_callback(partial(self._settle, new, None if early else params))
            # Whoever hangs up must not keep it from what follows.
            await asyncio.shield(stored)
            return new.id

        return await self._once("job", job.owner, key, self._live.store.job_by_key, create)

    def _settle(self, job: Job, params: str | None, stored: asyncio.Future[None]) -> None:
        """Let a job that is on disk go on, or undo it where it could not be stored.

        Args:
            job: as it came.
            params: its payload, if it waits to be put into its queue.
            stored: how the storing went.
        """
        live = self._live
        ended = live.arriving.pop(job.id)
        known = live.jobs.get(job.id)
        live.bell.ring()
        if known is None:
            # It has ended while it was stored: its session was cancelled.
            return
        if stored.cancelled() or stored.exception() is not None:
            self._steps.withdraw(known)
            return
        if params is not None:
            self._steps.enqueue(known)
            live.keep_payload(job.id, params)
        if ended is not None:
            self._running.take(job.id, ended)

    def _is_new(self, owner: str, key: str) -> bool:
        """Whether a key has not been seen lately: what is asked for again may be there already."""
        place = owner, key
        new = place not in self._keys
        self._keys[place] = None
        if len(self._keys) > _KEYS:
            del self._keys[next(iter(self._keys))]
        return new

    def _check_pending(self, owner: str) -> None:
        pending, limit = self._live.pending[owner], self._live.settings.max_pending_jobs
        if pending >= limit:
            raise TooManyError(pending, limit, "pending jobs")
        in_total, limit = len(self._live.jobs), self._live.settings.max_pending_jobs_in_total
        if in_total >= limit:
            raise TooManyError(in_total, limit, "pending jobs of all users")

    def _idle_limit_seconds(self, mode: Mode) -> int:
        of_batch = self._live.settings.batch_interactive_seconds
        if mode is Mode.BATCH and of_batch is not None:
            return of_batch
        return self._live.settings.interactive_seconds

    async def _once(
        self,
        kind: str,
        owner: str,
        key: str | None,
        find: Callable[[str, str], Coroutine[Any, Any, str | None]],
        create: Callable[[], Coroutine[Any, Any, str]],
    ) -> str:
        """Create something once for each idempotency key, however often it is asked for.

        Nearly every key is a new one, so it is only looked for where the creating fails.
        """
        if key is None:
            return await create()

        async def create_or_find() -> str:
            try:
                return await create()
            except Exception:
                # Refused for its key, or for another reason that the first one did not meet.
                found = await find(owner, key)
                if found is None:
                    raise
                return found

        place = (kind, owner, key)
        task = self.creating.get(place)
        if task is None:
            task = self.creating[place] = asyncio.create_task(create_or_find())
            task.add_done_callback(lambda _: self.creating.pop(place))
        # A client that hangs up must not undo what another request for the same key waits for.
        return await asyncio.shield(task)


def _new_job_id() -> str:
    """Make an id of twenty characters, as IBM's are. It is no secret, only nobody else's."""
    return f"{_ids.getrandbits(80):020x}"
