"""Grants devices to prepared jobs in their turn, and notes the stage of each job."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from typing import TYPE_CHECKING

from qsession_widget.runtime.store.writes import Update
from qsession_widget.runtime.worker.messages import STAGE_SHOWN_SECONDS
from qsession_widget.wire.states import Stage

if TYPE_CHECKING:
    from datetime import datetime

    from qsession_widget.runtime.control.executor import Executor
    from qsession_widget.runtime.control.state import RuntimeState
    from qsession_widget.runtime.model.job import Job
    from qsession_widget.runtime.scheduling.scheduler import Scheduler
    from qsession_widget.runtime.worker.messages import Reached


class DeviceArbiter:
    """Grants each device to one job at a time.

    Args:
        state: the unfinished sessions and jobs.
        scheduler: knows whose turn it is.
        executor: runs the jobs.
    """

    def __init__(self, state: RuntimeState, scheduler: Scheduler, executor: Executor) -> None:
        self._state = state
        self._scheduler = scheduler
        self._executor = executor

    def reached(self, job: Job, event: Reached) -> None:
        """Grant the device to a prepared job in its turn, and to the next one after it."""
        if event.stage is Stage.ON_DEVICE:
            if self._scheduler.ask_device(job.id):
                self.grant(job.id, event.at)
            elif job.prepared_at is None:
                ready = max(self._began(event.at), job.preparing_at or job.created_at)
                self._state.prepare(job.id, ready)
                # Its worker may be more useful to an idle device.
                self._state.wake_up.request()
        elif self._state.lasts_until(job) <= self._state.now:
            self._note(job, event.stage, event.at)
            self.grant(self._scheduler.release(job.id))

    def grant(self, job_id: str | None, since: float | None = None) -> None:
        """Let a job go on its device, now or as of a `time.monotonic()`. None does nothing."""
        if job_id is not None:
            since = time.monotonic() if since is None else since
            self._note(self._state.require(job_id), Stage.ON_DEVICE, since)
            self._executor.grant_device(job_id)

    def _note(self, job: Job, stage: Stage, since: float) -> None:
        """Note a job's stage, and store and show it if it lasts."""
        age = time.monotonic() - since
        began = self._began(since)
        # Not before the previous stage.
        before = job.on_device_at or job.prepared_at or job.preparing_at or began
        self._state.reach(job.id, stage, max(began, before))
        asyncio.get_running_loop().call_later(
            max(0.0, STAGE_SHOWN_SECONDS - age),
            self._show,
            job.id,
            self._state.attempt(job.id),
            stage,
        )

    def _began(self, since: float) -> datetime:
        """Return the runtime's time at a `time.monotonic()`."""
        age = time.monotonic() - since
        return self._state.now - timedelta(seconds=age * self._state.clock.rate)

    def _show(self, job_id: str, attempt: int, stage: Stage) -> None:
        state = self._state
        if state.notifier.closed or not state.runs(job_id, attempt):
            return
        if state.require(job_id).stage is stage:
            state.write(Update(jobs=(state.revise(job_id),)))
