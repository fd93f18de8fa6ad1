"""Lists of jobs that share what has not changed."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from qsession_widget.monitoring.job_list import PAGE_JOBS, JobList, JobTable
from qsession_widget.wire.states import JobState
from tests.panel.test_renderings import NOON, job

if TYPE_CHECKING:
    from qsession_widget.monitoring.job_row import JobRow


def table(count: int) -> JobTable:
    found = JobTable()
    for at in range(count):
        found.put(job(str(at), "Queued"))
    return found


@given(
    st.lists(
        st.tuples(st.integers(0, 200), st.sampled_from([*JobState, "Mystery"]), st.booleans()),
        max_size=300,
    )
)
def test_a_table_is_as_a_dictionary(steps: list[tuple[int, str, bool]]) -> None:
    found, expected = table(150), {str(at): job(str(at), "Queued") for at in range(150)}
    for number, state, dropped in steps:
        name = str(number)
        if dropped:
            found.drop([name, "none"])
            expected.pop(name, None)
        else:
            row = job(name, state, ended_at=NOON + timedelta(seconds=number))
            found.put(row)
            expected[name] = row
        if number % 3 == 0:
            found.listed()
    rows = list(expected.values())
    listed = found.listed()
    assert list(listed) == rows
    assert [len(page.rows) for page in listed.pages[:-1]] == [PAGE_JOBS] * len(listed.pages[:-1])
    assert (len(listed), found.ids()) == (len(rows), set(expected))
    check(listed, rows)
    assert set(found.unfinished()) == {row.id for row in rows if not row.final}


def check(listed: JobList, rows: list[JobRow]) -> None:
    assert {state: listed.counts[state] for state in JobState} == {
        state: sum(row.state == state for row in rows) for state in JobState
    }
    assert listed.unfinished == sum(not row.final for row in rows)
    assert listed.running == tuple(row for row in rows if row.state == JobState.RUNNING)
    assert listed.last_end == max((row.ended_at for row in rows if row.ended_at), default=None)
    assert listed[-20:] == tuple(rows[-20:])
    assert [listed[at] for at in range(-len(rows), len(rows))] == rows * 2


def test_what_has_not_changed_is_the_same_object() -> None:
    found = table(1_000)
    before = found.listed()
    found.put(job("500", "Queued"))
    assert found.listed() is before, "nothing is new"
    found.put(job("500", "Running"))
    after = found.listed()
    changed = [at for at, page in enumerate(after.pages) if page is not before.pages[at]]
    assert changed == [500 // PAGE_JOBS]
    assert before[500].state == "Queued", "the older list stays as it was"
    found.put(replace(after[999], id="1000"))
    assert found.listed().pages[:-1] == after.pages[:-1]
