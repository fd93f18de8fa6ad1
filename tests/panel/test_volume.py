"""What 10,000 jobs cost on the wire, counted in the messages as sent."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from qsession_widget import Session, SessionPanel
from qsession_widget.monitoring.job_list import PAGE_JOBS, JobPage, JobTable
from qsession_widget.monitoring.job_row import Estimate, Stages
from tests.panel.test_renderings import NOON, job, snapshot

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from qsession_widget.monitoring.job_row import JobRow
    from qsession_widget.monitoring.snapshot import Snapshot
    from tests.panel.conftest import Message, Wire

COUNT = 10_000
LIMIT_BYTES = 12_000


@pytest.fixture
def panel(runtime: Path, wire: Wire) -> Iterator[SessionPanel]:
    """Yield a panel that only the test writes to."""
    del runtime, wire
    session = Session(backend="fake_manila", max_time=600)
    opened = SessionPanel(session)
    opened._monitor.remove(opened)
    opened.show(many(listed(*rows(COUNT))))
    yield opened
    session.cancel()


def row(at: int) -> JobRow:
    """Return a job of a long session: most are done, every tenth failed, the rest wait."""
    name = f"d4h{at:05d}s0v6qs73a8r0a1"
    created = NOON + timedelta(seconds=at)
    if at >= COUNT // 2:
        estimate = Estimate(NOON + timedelta(seconds=3 * at), "5000 jobs took 3.3 s each (median)")
        return job(
            name,
            "Queued",
            created_at=created,
            started_at=None,
            ended_at=None,
            pubs=1,
            estimate=estimate,
        )
    failed = at * 7919 % 10 == 0
    return job(
        name,
        "Failed" if failed else "Completed",
        created_at=created,
        started_at=created + timedelta(seconds=12.345),
        ended_at=created + timedelta(seconds=15.678),
        reason=f"Circuit {at} does not fit the device." if failed else None,
        tags=("vqe", f"step-{at // 40}"),
        pubs=at % 7 + 1,
        stages=Stages(
            *(created + timedelta(seconds=seconds) for seconds in (12.345, 12.789, 15.432))
        ),
    )


def rows(count: int) -> list[JobRow]:
    return [row(at) for at in range(count)]


def listed(*jobs: JobRow) -> JobTable:
    table = JobTable()
    for each in jobs:
        table.put(each)
    return table


def many(table: JobTable) -> Snapshot:
    return replace(snapshot(), jobs=table.listed())


def size(message: Message) -> int:
    """Return the bytes that are sent: JSON and buffers."""
    return len(json.dumps(message.data)) + message.buffer_bytes


def cost(panel: SessionPanel, wire: Wire, table: JobTable, *changed: JobRow) -> int:
    before = len(wire.updates())
    for each in changed:
        table.put(each)
    panel.show(many(table))
    return sum(size(message) for message in wire.updates()[before:])


def ended(one: JobRow) -> JobRow:
    begun = NOON + timedelta(hours=3)
    return replace(
        one,
        state="Completed",
        started_at=begun,
        ended_at=begun + timedelta(seconds=3),
        stages=Stages(begun, begun, begun + timedelta(seconds=3)),
        estimate=None,
    )


def test_a_change_of_one_job_costs_few_bytes(panel: SessionPanel, wire: Wire) -> None:
    jobs = rows(COUNT)
    table = listed(*jobs)
    panel.show(many(table))
    started = replace(ended(jobs[5000]), state="Running", ended_at=None, sub_status="on_device")
    cancelled = [
        replace(each, state="Cancelled", reason="Its user said so.", estimate=None)
        for each in jobs[5001:]
    ]
    changes: dict[str, list[JobRow]] = {
        "a beat": [],
        "a start": [started],
        "an end": [ended(jobs[5000])],
        "a new job": [row(COUNT)],
        "all queued are cancelled": cancelled,
    }
    costs = {what: cost(panel, wire, table, *changed) for what, changed in changes.items()}
    assert max(costs.values()) < LIMIT_BYTES, costs


def test_a_change_reads_the_page_that_it_is_in(
    panel: SessionPanel, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = listed(*rows(COUNT))
    panel.show(many(table))
    read: list[int] = []
    derived = JobPage.derived

    def watched(page: JobPage, function: Any) -> Any:
        def noted(of_page: tuple[JobRow, ...]) -> Any:
            read.append(len(of_page))
            return function(of_page)

        if function not in page._derived:
            page._derived[function] = noted(page.rows)
        return derived(page, function)

    monkeypatch.setattr(JobPage, "derived", watched)
    table.put(ended(row(5000)))
    panel.show(many(table))
    assert 0 < sum(read) <= 10 * PAGE_JOBS, "the one page, by each of the few who ask"
    assert panel.get_state("page78")["page78"]["ran"][5000 % PAGE_JOBS] == 3000


def test_a_panel_that_opens_late_has_all_jobs(panel: SessionPanel) -> None:
    state = panel.get_state()
    ids = [name for at in range(157) for name in state[f"page{at}"]["ids"]]
    assert ids == [each.id for each in rows(COUNT)]
    assert state["jobs"] == {"count": COUNT, "page": 64}
    assert state["page157"] == {}
