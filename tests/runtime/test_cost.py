"""What an ended job costs its session."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from qsession_widget.runtime.model import lifecycle
from qsession_widget.runtime.model.cost import cost_of
from tests.runtime.many_jobs import job
from tests.runtime.test_lifecycle import NOON, running

if TYPE_CHECKING:
    from datetime import datetime

    from qsession_widget.runtime.model.job import Job


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def ended(prepares: float, prepared: float, on_device: float, off_device: float) -> Job:
    """Return a job that was prepared, and on the device, between these seconds after noon."""
    return replace(
        job(0),
        started_at=after(prepares),
        preparing_at=after(prepares),
        prepared_at=after(prepared),
        on_device_at=after(on_device),
        post_processing_at=after(off_device),
        ended_at=after(off_device + 1),
    )


@pytest.mark.parametrize(("rate", "own", "free"), [(0, 6, 0), (1, 6, 0), (60, 0.1, 5.9)])
def test_what_a_clock_makes_of_the_preparation_is_free(
    rate: float, own: float, free: float
) -> None:
    found = cost_of(ended(0, 6, 6, 9), None, rate)
    assert found[:3] == pytest.approx((3, own, free))
    assert found.counted_until == after(9)


def test_preparation_beside_another_job_is_counted_once_and_is_not_free() -> None:
    """With lanes; the parts of the usage add up to it."""
    session = replace(running(), activated_at=NOON, started_at=NOON, busy_since=NOON)
    jobs = [ended(0, 60, 60, 100), ended(30, 90, 100, 130), ended(100, 160, 160, 170)]
    costs = []
    for each in jobs:
        session = lifecycle.start(lifecycle.submit(session), NOON)
        costs.append(cost_of(each, session.counted_until, 60))
        session = lifecycle.end(session, after(171), costs[-1])
    # The second is prepared beside the first, and the third is beside the second for half a minute.
    assert [each.preparing_seconds for each in costs] == [1, 0, 0.5]
    assert [each.free_seconds for each in costs] == [59, 0, 29.5]
    session = lifecycle.end(session, after(171))
    parts = session.on_device_seconds, session.preparing_seconds
    assert parts == (40 + 30 + 10, 1.5)
    # The last second is post-processing.
    assert session.usage_seconds(after(171)) == pytest.approx(sum(parts) + 1)
    assert session.idle_seconds(after(171)) == 0
