"""Timers that fire late."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from qsession_widget.runtime.model import lifecycle
from qsession_widget.runtime.model.lifecycle import NotAcceptingJobsError, Session
from qsession_widget.wire.states import (
    JobState,
    Mode,
    SessionState,
)
from tests.conftest import DEADLINE_SECONDS
from tests.runtime.bench import NOON, Bench, going

if TYPE_CHECKING:
    from pathlib import Path


async def test_an_expired_session_takes_no_job_even_before_its_timer_fires(
    bench: Bench,
) -> None:
    """The machine slept past the maximum time, and the first event is a request."""
    session_id = await bench.opens(seconds=600)
    await bench.ended(await bench.submits(session_id))
    bench.clock.moves(hours=1)
    with pytest.raises(NotAcceptingJobsError):
        await bench.submits(session_id)
    session = await bench.closed(session_id)
    assert session.closed_at == NOON + timedelta(seconds=600)


async def test_timers_that_expired_during_a_downtime_act_at_their_own_time(
    tmp_path: Path,
) -> None:
    async with going(Bench(tmp_path)) as bench:
        session_id = await bench.opens()
        await bench.ended(await bench.submits(session_id))
    bench = Bench(tmp_path)
    bench.clock.moves(minutes=30)
    async with going(bench):
        await bench.opens()
        async with asyncio.timeout(DEADLINE_SECONDS):
            with bench.coordinator.notifier.watch(session_id) as changed:
                while len((session := await bench.session(session_id)).transitions) < 3:
                    await changed.wait()
                    changed.clear()
        assert session.transitions[-1] == (
            SessionState.INACTIVE,
            NOON + timedelta(seconds=60),
        )
        assert session.used_seconds == 60


async def test_a_failing_session_does_not_stop_the_others(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    poisoned, sound = await bench.opens(), await bench.opens()
    tick = lifecycle.tick

    def failing(session: Session, now: datetime) -> lifecycle.Step:
        if session.id == poisoned:
            raise RuntimeError("poisoned")
        return tick(session, now)

    monkeypatch.setattr(lifecycle, "tick", failing)
    bench.clock.moves(hours=1)
    assert (await bench.ended(await bench.submits())).state is JobState.COMPLETED
    await bench.closed(sound)
    assert bench.coordinator._ticker.timer is not None, "and the ticker goes on"


@pytest.mark.parametrize(("given", "of_batch"), [(None, 60), (1, 1)])
async def test_a_batch_may_idle_for_its_own_time(
    tmp_path: Path, given: int | None, of_batch: int
) -> None:
    async with going(Bench(tmp_path, batch_interactive_seconds=given)) as bench:
        for mode, seconds in ((Mode.BATCH, of_batch), (Mode.DEDICATED, 60)):
            found = await bench.session(await bench.opens(mode))
            assert found.interactive_seconds == seconds
