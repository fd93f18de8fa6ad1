from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from qsession_widget.client.jobs.job_contents import Contents
from qsession_widget.monitoring.job_list import JobList
from qsession_widget.monitoring.job_row import Estimate, JobRow, Stages
from qsession_widget.monitoring.snapshot import CacheFigures, ServiceClock, UsageSplit
from qsession_widget.panel import formatting
from qsession_widget.panel.html import as_html
from qsession_widget.panel.text import as_text
from qsession_widget.wire import documents
from qsession_widget.wire.documents import JobDocument, SessionExtrasDocument
from tests.panel.test_renderings import NOON, job, snapshot

RUNNING: dict[str, Any] = {
    "id": "j",
    "created": "2026-11-22T12:00:00Z",
    "state": {"status": "Running"},
    "qsession": {
        "pubs": 3,
        "running_at": "2026-11-22T12:00:01Z",
        "sub_status": "on_device",
        "stages": {
            "preparing_at": "2026-11-22T12:00:01Z",
            "on_device_at": "2026-11-22T12:00:02Z",
            "post_processing_at": None,
        },
        "estimate": None,
    },
}


def received(job: dict[str, Any]) -> JobDocument:
    return documents.read(JobDocument, job)


def changed(job: dict[str, Any], status: str = "Running", **extra: Any) -> dict[str, Any]:
    return {**job, "state": {"status": status}, "qsession": {**job["qsession"], **extra}}


def test_a_job_is_read_with_its_stages() -> None:
    row = JobRow.of(received(RUNNING), NOON)
    assert (row.sub_status, row.pubs) == ("on_device", 3)
    assert row.stages == Stages(NOON + timedelta(seconds=1), NOON + timedelta(seconds=2))
    assert row.estimate is None


def test_an_executor_job_is_named_by_what_it_stands_for() -> None:
    given = {"id": "j", "program": {"id": "executor"}}
    assert JobRow.of(received(given)).program == "executor"
    sent_here = JobRow.of(received(given), contents=Contents(1, "sampler"))
    told = JobRow.of(received({**given, "qsession": {"role": "estimator"}}))
    assert (sent_here.program, told.program) == ("sampler", "estimator")
    assert {sent_here.program_id, told.program_id} == {"executor"}
    learner = {"id": "j", "program": {"id": "noise-learner"}}
    assert JobRow.of(received(learner)).program == "noise learner"


def test_at_the_end_stages_stay_and_the_sub_status_goes() -> None:
    row = JobRow.of(received(changed(RUNNING, "Completed")), NOON)
    assert row.sub_status is None
    assert row.stages is not None


def test_a_service_may_leave_fields_out() -> None:
    row = JobRow.of(received({"id": "j", "state": {"status": "Running"}}), NOON)
    assert (row.pubs, row.sub_status, row.stages, row.estimate) == (None, None, None, None)
    assert JobRow.of(received({"id": "j"}), NOON, Contents(2)).pubs == 2
    none_begun = dict.fromkeys(RUNNING["qsession"]["stages"])
    assert JobRow.of(received(changed(RUNNING, stages=none_begun)), NOON).stages is None
    assert JobRow.of(received(changed(RUNNING, sub_status="simulating")), NOON).sub_status is None


def test_an_estimate_is_a_time_on_the_clock_of_the_service() -> None:
    queued = changed(RUNNING, "Queued", estimate={"start_seconds": 2.5, "basis": "12 jobs"})
    row = JobRow.of(received(queued), NOON)
    assert row.estimate == Estimate(NOON + timedelta(seconds=2.5), "12 jobs")
    assert JobRow.of(received(queued)).estimate is None
    started = changed(queued, "Running")
    assert JobRow.of(received(started), NOON).estimate is None


@pytest.mark.parametrize("seconds", [None, "2", -1, True, float("nan"), float("inf")])
def test_invalid_estimates_are_ignored(seconds: object) -> None:
    queued = changed(RUNNING, "Queued", estimate={"start_seconds": seconds, "basis": ""})
    assert JobRow.of(received(queued), NOON).estimate is None


def extras(**found: Any) -> SessionExtrasDocument:
    return documents.read(SessionExtrasDocument, found)


@pytest.mark.parametrize("rate", [0, 60, 1.0])
def test_a_clock_may_stand_still_or_hurry(rate: float) -> None:
    session = extras(now="2026-11-22T12:00:00Z", rate=rate)
    clock = ServiceClock.read(session, NOON + timedelta(days=1))
    assert clock.rate == rate
    assert clock.shown == NOON
    if rate == 0:
        assert clock.now() == NOON


def test_a_service_without_a_clock_goes_like_the_world() -> None:
    assert ServiceClock.read(extras(), NOON).rate == 1
    assert ServiceClock.read(extras(rate=None), NOON).rate == 1


def test_usage_is_split_as_far_as_it_is_known() -> None:
    known = {"on_device_seconds": 2, "idle_seconds": 1.5}
    assert UsageSplit.read(extras(usage=known).usage) == UsageSplit(2.0, None, 1.5)
    assert UsageSplit.read(extras(usage={"on_device_seconds": None}).usage) is None
    assert UsageSplit.read(extras(usage=None).usage) is None
    assert UsageSplit.read(extras().usage) is None


def test_an_unused_cache_is_not_shown() -> None:
    unused = {"hits": 0, "misses": 0, "seconds_saved": 0.0}
    assert CacheFigures.read(extras(cache=unused).cache) is None
    assert CacheFigures.read(extras().cache) is None
    used = {"hits": 3, "misses": 1, "seconds_saved": 0.5}
    assert CacheFigures.read(extras(cache=used).cache) == CacheFigures(3, 1, 0.5)


def test_text_and_html_show_all_usage() -> None:
    seen = snapshot(
        job("j", "Running", sub_status="on_device"),
        session={"state": "active", "elapsed_time": 12.5},
        usage=UsageSplit(on_device=2.0, preparing=None, idle=10.0),
        cache=CacheFigures(hits=1, misses=2, seconds_saved=0.5),
    )
    for drawn in (as_text(seen), as_html(seen)):
        assert "usage: 12.5 s (2.0 s on device, 10.0 s idle, 0.5 s other)" in drawn
        assert "cache: 1 hit, 2 missed, 0.50 s saved" in drawn
        assert "Running, on device" in drawn
    assert "usage:" not in as_text(snapshot(job("j")))
    assert "cache" not in as_text(snapshot(job("j")))


@given(st.lists(st.floats(0, 40_000), min_size=3, max_size=3), st.floats(-0.004, 900))
@example([1 / 3, 1 / 3, 1 / 3], 0.0)
@example([19.97, 19.97, 19.97], 0.0)
@example([1199.6, 1199.6, 1199.6], 0.0)
def test_the_parts_of_usage_add_up_to_the_total_shown(parts: list[float], rest: float) -> None:
    total = max(0.0, sum(parts) + rest)
    said = formatting.usage(
        snapshot(session={"state": "closed", "elapsed_time": total}, usage=UsageSplit(*parts))
    )
    whole, *each = (_said_hundredths(text) for text in re.split(r" \(|, ", said.rstrip(")")))
    assert len(each) in {3, 4}, said
    assert sum(each) == whole, said


def _said_hundredths(text: str) -> int:
    """Parse a shown duration into hundredths of a second."""
    sizes = {"h": 360_000, "min": 6_000, "s": 100}
    return sum(
        round(float(number) * sizes[unit])
        for number, unit in re.findall(r"([0-9.]+) (h|min|s)\b", text)
    )


def test_jobs_that_overlap_cannot_add_up() -> None:
    seen = snapshot(
        session={"state": "closed", "elapsed_time": 3.0}, usage=UsageSplit(3.0, 2.0, 0.0)
    )
    assert formatting.usage(seen) == "3.0 s (3.0 s on device, 2.0 s preparing, 0.00 s idle)"


def test_text_and_html_count_the_running_jobs_usage() -> None:
    stages = Stages(NOON - timedelta(seconds=3), NOON - timedelta(seconds=1))
    seen = snapshot(
        job("j", "Running", stages=stages),
        session={"mode": "dedicated", "state": "active", "elapsed_time": 12.0},
        details_at=NOON,
        now=NOON + timedelta(seconds=2),
        usage=UsageSplit(on_device=2.0, preparing=1.0, idle=6.0),
    )
    assert "usage: 14.0 s (5.0 s on device, 3.0 s preparing, 6.0 s idle)" in as_text(seen)
    idle = replace(seen, jobs=JobList())
    parts = "2.0 s on device, 1.0 s preparing, 8.0 s idle, 3.0 s other"
    assert f"usage: 14.0 s ({parts})" in as_html(idle)
    batch = replace(seen, session=msgspec.structs.replace(seen.session, mode="batch"))
    parts = "2.0 s on device, 1.0 s preparing, 6.0 s idle, 3.0 s other"
    assert f"usage: 12.0 s ({parts})" in as_text(batch)
    assert "usage: 14.0 s\n" in as_text(replace(seen, usage=None))
