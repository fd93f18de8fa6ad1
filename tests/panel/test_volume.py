"""What 10,000 jobs cost on the wire, counted in the messages as sent."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from qsession_widget import Session, SessionPanel
from qsession_widget.monitoring.snapshot import Estimate, Stages
from tests.panel.test_renderings import NOON, job, snapshot

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from qsession_widget.monitoring.snapshot import JobRow, Snapshot
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
    opened.show(many(rows(COUNT)))
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


def many(jobs: list[JobRow]) -> Snapshot:
    return snapshot(*jobs)


def size(message: Message) -> int:
    """Return the bytes that are sent: JSON and buffers."""
    return len(json.dumps(message.data)) + message.buffer_bytes


def cost(panel: SessionPanel, wire: Wire, jobs: list[JobRow]) -> int:
    before = len(wire.updates())
    panel.show(many(jobs))
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
    changes: dict[str, Any] = {"a beat": jobs}
    running = list(jobs)
    running[5000] = replace(
        ended(jobs[5000]), state="Running", ended_at=None, sub_status="on_device"
    )
    changes["a start"] = running
    changes["an end"] = [*jobs[:5000], ended(jobs[5000]), *jobs[5001:]]
    changes["a new job"] = [*changes["an end"], row(COUNT)]
    cancelled = [
        replace(each, state="Cancelled", reason="Its user said so.", estimate=None)
        for each in jobs[5001:]
    ]
    changes["all queued are cancelled"] = [*jobs[:5001], *cancelled]
    costs = {what: cost(panel, wire, changed) for what, changed in changes.items()}
    assert max(costs.values()) < LIMIT_BYTES, costs


def test_a_panel_that_opens_late_has_all_jobs(panel: SessionPanel) -> None:
    state = panel.get_state()
    ids = [name for at in range(157) for name in state[f"page{at}"]["ids"]]
    assert ids == [each.id for each in rows(COUNT)]
    assert state["jobs"] == {"count": COUNT, "page": 64}
    assert state["page157"] == {}
