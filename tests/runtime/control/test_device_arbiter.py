"""Which job is on the device when several are in work."""

from __future__ import annotations

import os
import signal
from functools import partial
from typing import TYPE_CHECKING

import pytest

from qsession_widget.wire.states import (
    JobState,
    Mode,
    SessionState,
    Stage,
)
from tests.runtime.bench import FOR_EVER, Bench, going, settles

if TYPE_CHECKING:
    from pathlib import Path


async def test_with_lanes_the_next_job_is_prepared_while_one_is_on_the_device(
    tmp_path: Path,
) -> None:
    async with going(Bench(tmp_path, min_job_seconds=FOR_EVER, lanes=2)) as bench:
        job_ids = [await bench.submits() for _ in range(3)]
        inside = bench.coordinator._scheduler
        device = inside._device("fake_manila")
        # The job that is prepared first gets the device first.
        await settles(lambda: device.on_device is not None and len(device.prepared) == 1)
        first, second, third = device.on_device, device.prepared[0], job_ids[2]
        assert {first, second} == set(job_ids[:2])
        await bench.running(str(first))
        waiting = await bench.job(second)
        assert (waiting.state, waiting.stage) == (JobState.RUNNING, Stage.PREPARING)
        assert (await bench.job(third)).state is JobState.QUEUED
        bench.clock.moves(seconds=10)
        await bench.coordinator.cancel_job(str(first))
        await bench.running(second)
        assert device.on_device == second
        await settles(lambda: third in device.prepared)
        os.kill(await bench.running(second), signal.SIGKILL)
        await bench.running(third)
        for job_id in (second, third):
            await bench.coordinator.cancel_job(job_id)
        assert (await bench.job(third)).device_seconds == 0
        await bench.nothing_left()


async def test_waiting_for_the_device_is_not_being_prepared(tmp_path: Path) -> None:
    async with going(Bench(tmp_path, min_job_seconds=FOR_EVER, lanes=2)) as bench:
        session_id = await bench.opens(Mode.BATCH)
        for _ in range(2):
            await bench.submits(session_id)
        device = bench.coordinator._scheduler._device("fake_manila")
        await settles(lambda: len(device.prepared) == 1)
        first, second = str(device.on_device), device.prepared[0]
        await bench.running(first)
        bench.clock.moves(seconds=1_000)
        await bench.coordinator.cancel_job(first)
        await bench.running(second)
        bench.clock.moves(seconds=10)
        await bench.coordinator.cancel_job(second)
        jobs = [await bench.job(each) for each in (first, second)]
        # Stages are dated by the worker's clock, which is slightly more exact.
        near = partial(pytest.approx, abs=0.1)
        assert [job.device_seconds for job in jobs] == near([1_000, 10])
        assert [job.preparing_seconds for job in jobs] == near([0, 0])
        session = await bench.session(session_id)
        parts = session.on_device_seconds, session.preparing_seconds
        assert parts == near((1_010, 0))
        assert session.busy_seconds == near(sum(parts))


async def test_lanes_lose_no_job(tmp_path: Path) -> None:
    async with going(Bench(tmp_path, lanes=3, workers=2)) as bench:
        session_id = await bench.opens(Mode.BATCH)
        job_ids = [await bench.submits(session_id) for _ in range(12)]
        assert {(await bench.ended(each)).state for each in job_ids} == {JobState.COMPLETED}
        await bench.coordinator.close_session(session_id)
        assert (await bench.session(session_id)).state is SessionState.CLOSED
        await bench.nothing_left()
