from __future__ import annotations

import json
import os
import random
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qsession_widget.monitoring.job_list import JobList
from qsession_widget.monitoring.job_row import Estimate, JobRow, Stages
from qsession_widget.panel import job_columns
from qsession_widget.wire.results.summary import Summary
from qsession_widget.wire.states import PANEL_STAGES, PANEL_STATES, JobState
from tests.panel.test_renderings import NOON, job

SAMPLE = Path(__file__).parents[2] / "js" / "tests" / "golden" / "job-states.json"
"""Jobs as (state, stage, how many in a row), and the bytes that stand for them; vitest reads it."""


def states_of(encoded: bytes) -> list[int]:
    """Decode the output of `state_bytes` as the browser does."""
    found: list[int] = []
    at = 0
    while at < len(encoded):
        if encoded[at] < 0x80:
            found.append(encoded[at])
            at += 1
        else:
            length = int.from_bytes(encoded[at + 1 : at + 3], "little")
            found += [encoded[at] & 0x0F] * length
            at += 3
    return found


def test_the_sample_of_state_bytes_is_as_this_side_writes_it() -> None:
    jobs: list[tuple[str, str | None, int]] = [(state, None, 1) for state in PANEL_STATES]
    jobs += [(JobState.RUNNING, stage, 1) for stage in PANEL_STAGES]
    jobs += [("Mystery", None, 1), (JobState.RUNNING, PANEL_STAGES[1], 300)]
    rows = [
        job(f"j-{at}-{place}", state, sub_status=stage)
        for at, (state, stage, count) in enumerate(jobs)
        for place in range(count)
    ]
    sample = {"jobs": jobs, "bytes": list(job_columns.state_bytes(JobList(rows)))}
    if os.environ.get("QSESSION_WRITE"):
        SAMPLE.write_text(json.dumps(sample) + "\n")
    assert json.loads(SAMPLE.read_text()) == json.loads(json.dumps(sample)), (
        "panels in browsers read these bytes: add states and stages at the end only, then write "
        "the sample anew with QSESSION_WRITE=1"
    )


def test_a_page_has_every_column_of_a_row() -> None:
    rows = [
        job("j-1", tags=("a", "b")),
        job(
            "j-2", "Queued", created_at=NOON + timedelta(seconds=5), started_at=None, ended_at=None
        ),
        job("j-3", "Mystery", created_at=None),
    ]
    noon = round(NOON.timestamp() * 1000)
    assert job_columns.page(rows) == {
        "ids": ["j-1", "j-2", "j-3"],
        "programs": [["sampler", 3]],
        "roles": [],
        "tags": [[["a", "b"], 1], [[], 2]],
        "created": [noon, 5000, None],
        "waited": [1000, None, None],
        "ran": [2500, None, 2500],
        "pubs": [[None, 3]],
        "results": [],
        "stages": [],
    }
    assert job_columns.state_bytes(JobList(rows)) == bytes([2, 0, 15])


def test_words_for_programs_are_sent_where_they_differ() -> None:
    rows = [
        job("j-1", program_id="executor", role="estimator"),
        job("j-2", program_id="executor"),
        job("j-3", program_id="noise-learner"),
        job("j-4"),
    ]
    page = job_columns.page(rows)
    assert page["programs"] == [["executor", 2], ["noise-learner", 1], ["sampler", 1]]
    words = ["estimator", "executor", "noise learner", "sampler"]
    assert page["roles"] == [[word, 1] for word in words]
    assert job_columns.page(rows[3:])["roles"] == []


def test_results_are_sent_in_few_digits() -> None:
    rows = [
        job("j-1", summary=Summary(-1.23456789, 0.001)),
        job("j-2", summary=Summary(0.5)),
        job("j-3", summary=Summary(outcomes=(("01", 0.123456), ("10", 0.1)))),
        job("j-4"),
    ]
    assert job_columns.page(rows)["results"] == [
        (-1.23457, 0.001),
        (0.5, None),
        (("01", 0.1235), ("10", 0.1)),
        None,
    ]


def test_a_jobs_stage_is_part_of_its_state_byte() -> None:
    stages = Stages(NOON + timedelta(seconds=1), NOON + timedelta(seconds=1.25))
    rows = [
        job("j-1", "Running", sub_status="preparing", pubs=3),
        job("j-2", "Running", sub_status="on_device", pubs=3, stages=stages),
        job("j-3", "Running", sub_status="post_processing"),
        *(job(f"k-{at}", "Running", sub_status="on_device") for at in range(5)),
    ]
    assert job_columns.state_bytes(JobList(rows)) == bytes([0x11, 0x21, 0x31, 0xA1, 5, 0])
    page = job_columns.page(rows[:3])
    assert page["pubs"] == [[3, 2], [None, 1]]
    assert page["stages"] == [None, (1000, 1250, None), None]


def test_the_first_estimates_are_sent_with_their_basis() -> None:
    def waits(seconds: int, basis: str) -> JobRow:
        estimate = Estimate(NOON + timedelta(seconds=seconds), basis)
        return job(str(seconds), "Queued", estimate=estimate)

    noon = round(NOON.timestamp() * 1000)
    rows = [job("j"), waits(5, "a guess"), waits(9, "b" * 1000), waits(12, "a guess")]
    assert job_columns.estimates(JobList(rows)) == {
        "bases": ["a guess", "b" * 160],
        "jobs": [[1, noon + 5000, 0], [2, noon + 9000, 1], [3, noon + 12_000, 0]],
    }
    assert (
        len(job_columns.estimates(JobList(waits(at, "a guess") for at in range(1000)))["jobs"])
        == 64
    )


def test_long_texts_are_cut() -> None:
    (cut,) = job_columns.page([job("j", tags=("t" * 10_000,) * 100, program_id="p" * 10_000)])[
        "tags"
    ]
    assert cut == [["t" * 40] * 8, 1]
    assert len(job_columns.reasons(JobList([job("j", reason="r" * 5000)]))[0][0]) == 600


def test_a_clock_that_goes_back_gives_no_negative_time() -> None:
    late = job("j", created_at=NOON + timedelta(hours=1))
    assert job_columns.page([late])["waited"] == [0]


@given(st.lists(st.sampled_from([*JobState, "Mystery"]), max_size=300))
def test_states_are_read_as_they_were_written(states: list[str]) -> None:
    encoded = job_columns.state_bytes(
        JobList(job(str(at), state) for at, state in enumerate(states))
    )
    codes = [list(JobState).index(JobState(s)) if s in set(JobState) else 15 for s in states]
    assert states_of(encoded) == codes
    assert len(encoded) <= len(states)


@pytest.mark.minute
def test_a_long_run_of_states_is_short() -> None:
    rows = [job(str(at), "Queued") for at in range(200_000)]
    encoded = job_columns.state_bytes(JobList(rows))
    assert len(encoded) == 12
    assert states_of(encoded) == [0] * 200_000


def test_equal_reasons_are_sent_once() -> None:
    cancelled = [job(str(at), "Cancelled", reason="The session was cancelled.") for at in range(99)]
    assert job_columns.reasons(JobList([job("a"), *cancelled])) == [
        ["The session was cancelled.", 1, 99]
    ]


def test_the_newest_reasons_are_sent_up_to_a_limit() -> None:
    failed = [job(str(at), "Failed", reason=f"{at}: {'x' * 500}") for at in range(100)]
    found = job_columns.reasons(JobList(failed))
    assert [first for _, first, _ in found] == [99, 98, 97]


def test_no_order_of_states_takes_more_than_a_byte_for_each_job() -> None:
    chosen = random.Random(1)  # noqa: S311 - not for secrets
    rows = [job(str(at), chosen.choice(["Completed", "Failed"])) for at in range(10_000)]
    assert len(job_columns.state_bytes(JobList(rows))) <= 10_000
