"""Starts jobs when they can start, hands them to workers, and handles the workers' events."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from functools import partial
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from qsession_widget.runtime.control.state import Phase
from qsession_widget.runtime.device_catalog import Catalog
from qsession_widget.runtime.model.errors import InvalidTransitionError
from qsession_widget.runtime.model.job import MAX_ATTEMPTS, MAX_HOST_LOSSES
from qsession_widget.runtime.pieces import Content, LongText
from qsession_widget.runtime.store.store import StoreClosedError
from qsession_widget.runtime.store.writes import SetClock, Update
from qsession_widget.runtime.worker.limits import Limits
from qsession_widget.runtime.worker.messages import (
    GOES_ON,
    Done,
    Expected,
    Failed,
    HostLost,
    Interim,
    Lost,
    Reached,
    Task,
)
from qsession_widget.wire.states import JOB_FAILED, RAN_TOO_LONG, JobState, Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from qsession_widget.runtime.control.device_arbiter import DeviceArbiter
    from qsession_widget.runtime.control.executor import Executor
    from qsession_widget.runtime.control.state import RuntimeState
    from qsession_widget.runtime.control.transitions import Transitions
    from qsession_widget.runtime.model.job import Job
    from qsession_widget.runtime.model.lifecycle import Session
    from qsession_widget.runtime.scheduling.scheduler import Scheduler
    from qsession_widget.runtime.worker.lru_cache import Figures
    from qsession_widget.runtime.worker.messages import Event

log = logging.getLogger(__name__)


class Dispatcher:
    """Takes jobs from their queues through a worker to their end.

    Args:
        state: the unfinished sessions and jobs.
        scheduler: chooses what starts.
        arbiter: grants the devices.
        transitions: carries out changes.
        executor: runs the jobs.
    """

    def __init__(
        self,
        state: RuntimeState,
        scheduler: Scheduler,
        arbiter: DeviceArbiter,
        transitions: Transitions,
        executor: Executor,
    ) -> None:
        self._handing_over = 0
        self._probe: asyncio.Future[None] | None = None
        self._state = state
        self._settings = state.settings
        self._scheduler = scheduler
        self._arbiter = arbiter
        self._transitions = transitions
        self._executor = executor
        self._catalog = Catalog(
            state.settings.copies, state.settings.aliases, state.settings.devices
        )
        self._background: set[asyncio.Task[None]] = set()

    @property
    def busy(self) -> bool:
        """Whether a worker computes or is about to, or a job is on its way to the disk."""
        on_the_way = self._handing_over or self._state.arriving
        return bool(on_the_way) or self._executor.busy

    def warm(self, session: Session) -> None:
        """Prepare a worker for the jobs of a session."""
        self._executor.warm(session.id, self._recorded_name(session.backend))

    # -- to a worker -----------------------------------------------------------------------

    def dispatch(self) -> None:
        """Start what can start."""
        if not self._state.store.available:
            self._wait_for_store()
            return
        while self._executor.free > self._handing_over:
            job_id = self._scheduler.start_next(self._state.now)
            if job_id is None:
                return
            try:
                self._start(self._state.require(job_id))
            except Exception:
                self._scheduler.requeue(job_id)
                raise
        self._displace()

    def _displace(self) -> None:
        """Preempt a job that only waits for its device, where another device is idle.

        The job has been prepared, and its worker's caches make that short the next time.
        """
        if self._executor.giving_up:
            # One at a time: the worker that will be free next is for the idle device.
            return
        job_id = self._scheduler.displaced()
        job = None if job_id is None else self._state.require(job_id)
        if job is not None and job.state is JobState.RUNNING:
            self._executor.cancel(job.id)
            self._transitions.requeue(job, attempts=job.attempts - 1)

    def _wait_for_store(self) -> None:
        """Start nothing while starts cannot be stored; look again once they can."""
        if self._probe is None:
            self._probe = self._state.write(SetClock(self._state.now))
            self._probe.add_done_callback(self._store_is_back)

    def _store_is_back(self, _done: asyncio.Future[None]) -> None:
        self._probe = None
        self._state.wake_up.request()

    def _start(self, job: Job) -> None:
        started, stored = self._transitions.start(job)
        params = self._state.at_hand.take_payload(job.id)
        if params is not None:
            self._give(started, params)
            return
        self._handing_over += 1
        # A job that a runtime may have died of runs once its attempt is on disk.
        counted = stored if self._state.is_inherited(job.id) else None
        self._begin(self._hand_over(started, counted))

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _hand_over(self, job: Job, counted: asyncio.Future[None] | None) -> None:
        """Read a job's payload and hand it to a worker, unless the job ended meanwhile.

        Args:
            job: the job as it started.
            counted: done when its start is on disk, where that has to come first.
        """
        attempt = self._state.attempt(job.id)
        problem: Exception | None = None
        params: str | Content | None = None
        try:
            params = await self._payload(job.id)
            if counted is not None:
                await counted
        except Exception as error:
            log.exception("the payload of job %s cannot be read", job.id)
            problem = error
        finally:
            self._handing_over -= 1
        if not self._state.runs(job.id, attempt):
            self._state.wake_up.request()
            return
        if params is None:
            reason = f"Its payload cannot be read: {problem or 'it is not there'}."
            self._transitions.end(job, JobState.FAILED, reason=reason, reason_code=JOB_FAILED)
            return
        if not self._executor.free:
            # Its host has left meanwhile.
            self._transitions.requeue(job, attempts=job.attempts - 1)
            return
        self._give(job, params)

    async def _payload(self, job_id: str) -> str | Content | None:
        """Read a job's payload; None if it was removed."""
        found = await self._state.store.params(job_id)
        if not isinstance(found, LongText):
            return found
        pieces = await self._state.store.params_in_pieces(job_id)
        return None if pieces is None else Content(pieces)

    def _give(self, job: Job, params: str | Content) -> None:
        self._state.hand_over(job.id)
        self._executor.submit(
            Task(
                job_id=job.id,
                affinity=job.session_id or job.backend,
                program_id=job.program_id,
                params=params,
                backend=job.backend,
                optimization_level=job.optimization_level,
                min_seconds=self._sleep_seconds,
                device=self._recorded_name(job.backend),
                limits=Limits(
                    qubits=self._settings.max_qubits,
                    shots=self._settings.max_shots,
                    memory_bytes=self._settings.max_job_memory_bytes,
                    result_bytes=self._settings.max_result_bytes,
                ),
                asks=self._settings.lanes > 1,
                attempt=self._state.attempt(job.id),
            )
        )

    @property
    def _sleep_seconds(self) -> float:
        """How long a worker makes a job last at least; it cannot wait for virtual time."""
        rate = self._state.clock.rate
        return self._settings.min_job_seconds / rate if rate else 0.0

    def _recorded_name(self, backend: str) -> str:
        device = self._catalog.get(backend)
        # A backend that is no longer served may still have jobs.
        return device.recorded_name if device else backend

    # -- from a worker ---------------------------------------------------------------------

    def receive(self, job_id: str, attempt: int, event: Event) -> None:
        """Handle an event of a worker. Only those of the attempt that runs count."""
        state = self._state
        job = state.job(job_id)
        if not isinstance(event, Reached):
            # The worker may be free, whatever follows from the event.
            state.wake_up.request()
        if job is None or not state.runs(job_id, attempt):
            self._ignore(event)
            return
        if isinstance(event, Done) and isinstance(event.result, Content):
            self._begin(self._keep_result(job, attempt, event, event.result))
            return
        if not isinstance(event, GOES_ON) and state.phase(job_id) is Phase.ARRIVING:
            # Handled once the job itself is on disk; if it never is, no client hears of it.
            state.hold_end(job_id, event)
            return
        if job.session_id is not None:
            safely(partial(self._transitions.current, job.session_id))
        # A late timer may have ended it.
        job = state.job(job_id)
        if job is None:
            self._ignore(event)
        else:
            self._follow(job, event)

    async def _keep_result(self, job: Job, attempt: int, done: Done, result: Content) -> None:
        """Store a long result, between other changes, before the end that it belongs to."""
        try:
            kept = await self._state.store.keep(result, result=True)
        except StoreClosedError:
            # The next runtime runs the job again.
            return
        except Exception as error:
            log.exception("the result of job %s cannot be stored", job.id)
            failed = Failed(f"Its result cannot be stored: {type(error).__name__}.")
            self.receive(job.id, attempt, failed)
            return
        if not self._state.runs(job.id, attempt):
            self._state.store.drop(kept)
            return
        self.receive(job.id, attempt, dataclasses.replace(done, result=kept))

    def _ignore(self, event: Event) -> None:
        if isinstance(event, Done) and isinstance(event.result, LongText):
            self._state.store.drop(event.result)

    def _follow(self, job: Job, event: Event) -> None:
        state = self._state
        match event:
            case Interim(text):
                state.add_interim(job.id, text)
                state.notifier.notify([job.id])
            case Reached():
                self._arbiter.reached(job, event)
            case Expected(seconds, by):
                job = state.expect_end(job.id, seconds, by)
                log.info("job %s runs for %.0f s more, by %s", job.id, seconds, by)
                state.write(Update(jobs=(job,)))
            case Done():
                self._finish(job, event)
            case Failed(reason, traceback):
                log.info("job %s failed: %s\n%s", job.id, reason, traceback)
                self._transitions.end(job, JobState.FAILED, reason=reason, reason_code=JOB_FAILED)
            case HostLost(host):
                self._lose_host(job, host)
            case Lost(status) if job.attempts < MAX_ATTEMPTS:
                log.warning("the worker of job %s died with status %s", job.id, status)
                self._transitions.requeue(job, attempts=job.attempts)
            case Lost(status):
                reason = (
                    f"Its worker process died {job.attempts} times, last with status {status}; "
                    "too little memory is the usual cause; a job may take "
                    f"{self._settings.max_job_memory_bytes} bytes."
                )
                self._transitions.end(
                    job, JobState.FAILED, reason=reason, reason_code=JOB_FAILED, crashed=True
                )

    def _lose_host(self, job: Job, host: str) -> None:
        """Run a job again whose machine is lost, which is no attempt of its own."""
        losses = self._state.lose_host(job.id)
        if losses < MAX_HOST_LOSSES:
            log.warning("job %s has lost its host %s, and goes back to its queue", job.id, host)
            self._transitions.requeue(job, attempts=job.attempts - 1)
            return
        reason = (
            f"It lost the host that ran it {losses} times, last {host}, and is not tried again."
        )
        self._transitions.end(
            job, JobState.FAILED, reason=reason, reason_code=JOB_FAILED, crashed=True
        )

    def look_at(self, job: Job) -> None:
        """End a running job whose time has come: with its result, or at its limit."""
        state = self._state
        if state.holds_end(job.id):
            return
        done = state.take_result(job.id)
        if done is not None:
            self._complete(job, done)
            return
        limit = state.time_limit(job)
        if limit is not None and limit <= state.now:
            reason = f"Ran longer than its limit of {state.limit_seconds(job)} s."
            self._transitions.end(job, JobState.CANCELLED, reason=reason, reason_code=RAN_TOO_LONG)

    def _finish(self, job: Job, done: Done) -> None:
        """End a job, or keep its result until virtual time has passed for it."""
        if self._state.lasts_until(job) > self._state.now:
            self._state.keep_result(job.id, done)
        else:
            self._complete(job, done)

    def _complete(self, job: Job, done: Done) -> None:
        """End a job with its result."""
        if job.stage is Stage.ON_DEVICE:
            self._state.reach(job.id, Stage.POST_PROCESSING, self._state.now)
        self._count(job, done.cache)
        result = done.result
        if isinstance(result, Content):
            raise InvalidTransitionError(f"the result of job {job.id} is not kept yet")
        self._transitions.end(
            job,
            JobState.COMPLETED,
            result=result,
            busy_seconds=done.busy_seconds,
            result_summary=done.summary,
        )

    def _count(self, job: Job, cache: Figures) -> None:
        """Add the cache figures of a job to its session; stored with the job's end."""
        session = self._state.session_of(job)
        if session is not None:
            self._transitions.put_session(
                replace(
                    session,
                    cache_hits=session.cache_hits + cache.hits,
                    cache_misses=session.cache_misses + cache.misses,
                    cache_seconds_saved=session.cache_seconds_saved + cache.seconds_saved,
                )
            )


def safely(step: Callable[[], object]) -> bool:
    """Run a step of the scheduling loop; returns False if it failed, which is logged."""
    try:
        step()
    except Exception:
        log.exception("a step of the runtime failed")
        return False
    return True
