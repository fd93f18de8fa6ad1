"""The order in which jobs are expected to start."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qsession_widget.runtime.scheduling import forecast
from qsession_widget.wire.states import Mode, SessionState
from tests.runtime.scheduling.queue_of_jobs import BEFORE, TODAY, Queue, session


@pytest.mark.minute
@given(data=st.data())
@settings(max_examples=400, derandomize=True)
def test_positions_are_the_order_in_which_jobs_start(data: st.DataObject) -> None:
    """If no job is added and each takes as long as the ones before it."""
    seconds = data.draw(st.sampled_from([0.0, 1.0, 2.5]))
    queue = Queue(shared=True)
    for name in ("w1", "w2", "w3"):
        queue.waits(name, owner="warm")
        queue.starts()
        queue.ends(name, seconds=seconds)
    for number in range(data.draw(st.integers(0, 4))):
        mode = data.draw(st.sampled_from(list(Mode)))
        state = data.draw(st.sampled_from([*BEFORE, SessionState.ACTIVE]))
        queue.put(session(f"s{number}", state, mode, owner=data.draw(st.sampled_from("abc"))))
    for owner in "abc":
        queue.inside.charge(owner, data.draw(st.integers(0, 6)) / 2, TODAY)
    jobs: dict[str, str | None] = {}
    for number in range(data.draw(st.integers(1, 14))):
        of = data.draw(st.sampled_from([None, None, *queue.sessions]))
        owner = data.draw(st.sampled_from("abc")) if of is None else queue.sessions[of].owner
        jobs[f"j{number}"] = of
        queue.waits(f"j{number}", owner=owner, session=of)
    for job in list(jobs):
        if data.draw(st.booleans()) and len(jobs) > 1 and data.draw(st.booleans()):
            del jobs[job]
            queue.inside.leave(job, queue.now)
    expected = queue.places(jobs)
    assert [queue.inside.position(job) for job in expected] == list(range(1, len(jobs) + 1))
    order: list[str] = []
    while started := queue.starts(1):
        (job,) = started
        assert job == expected[len(order)]
        order.append(job)
        of = jobs[job]
        if of is not None:
            queue.becomes(of, SessionState.ACTIVE)
        queue.ends(job, seconds=seconds)
    assert order == expected


def test_positions_have_no_gaps_beyond_the_forecast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forecast, "FORESEEN", 3)
    between = session("t", SessionState.PENDING_INACTIVE, Mode.BATCH, owner="a")
    queue = Queue(session("s", mode=Mode.BATCH, owner="b"), between)
    jobs = [f"{name}{number}" for number in range(5) for name in "abst"]
    for job in jobs:
        of = job[0] if job[0] in "st" else None
        owner = queue.sessions[of].owner if of is not None else job[0]
        queue.waits(job, owner=owner, session=of)
    places = {job: queue.inside.position(job) for job in jobs}
    assert sorted(filter(None, places.values())) == list(range(1, len(jobs) + 1))
    assert [places[job] for job in ("s0", "s1", "s2")] == [1, 2, 3]
    assert [places[f"t{number}"] for number in range(5)] == [16, 17, 18, 19, 20]


def test_a_session_that_has_the_device_is_first() -> None:
    queue = Queue(session("s"), session("b", mode=Mode.BATCH, owner="p"))
    queue.waits("single", owner="q")
    queue.waits("b1", owner="p", session="b")
    queue.waits("s1", "s2", session="s")
    assert queue.places(["single", "b1", "s1", "s2"]) == ["s1", "s2", "b1", "single"]
    assert [queue.inside.position(job) for job in ("s1", "s2", "b1", "single")] == [1, 2, 3, 4]
    assert queue.starts() == ["s1"]
    assert queue.inside.position("s1") is None
    assert queue.inside.position("unknown") is None
