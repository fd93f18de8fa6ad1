"""Which job starts next, what place each one has, and when it may start."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from qsession_widget.runtime.model import lifecycle
from qsession_widget.runtime.model.lifecycle import Session
from qsession_widget.runtime.scheduling import forecast
from qsession_widget.runtime.scheduling.fairshare import WINDOW_DAYS, Usage
from qsession_widget.runtime.scheduling.scheduler import Scheduler
from qsession_widget.wire.states import Mode, SessionState

if TYPE_CHECKING:
    from collections.abc import Iterable

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
TODAY = NOON.date()
BETWEEN = (SessionState.PENDING_INACTIVE, SessionState.PENDING_CLOSED)
BEFORE = (SessionState.OPEN, SessionState.INACTIVE)


def session(
    name: str,
    state: SessionState = SessionState.ACTIVE,
    mode: Mode = Mode.DEDICATED,
    *,
    device: str = "manila",
    owner: str = "o",
) -> Session:
    return Session(
        id=name,
        owner=owner,
        backend=device,
        mode=mode,
        max_seconds=28_800,
        interactive_seconds=60,
        active_seconds=28_800,
        first_job_seconds=1_800,
        created_at=NOON,
        state=state,
    )


class Queue:
    """A scheduler with jobs that are called by one letter or a word."""

    def __init__(self, *sessions: Session, lanes: int = 1, shared: bool = False) -> None:
        self.inside = Scheduler(lanes=lanes, shared=shared)
        self.now = NOON
        self.sessions: dict[str, Session] = {}
        for each in sessions:
            self.put(each)

    def put(self, each: Session) -> None:
        self.sessions[each.id] = each
        self.inside.update(each, self.now)

    def becomes(self, name: str, state: SessionState) -> None:
        closed_at = self.now if state is SessionState.CLOSED else None
        self.put(replace(self.sessions[name], state=state, closed_at=closed_at))

    def waits(
        self, *jobs: str, device: str = "manila", owner: str = "o", session: str | None = None
    ) -> None:
        for job in jobs:
            self.inside.wait(job, device=device, owner=owner, session_id=session)

    def starts(self, at_most: int = 9) -> list[str]:
        found: list[str] = []
        while len(found) < at_most and (job := self.inside.start_next(self.now)) is not None:
            found.append(job)
        return found

    def ends(self, *jobs: str, seconds: float = 0.0) -> None:
        self.now += timedelta(seconds=seconds)
        for job in jobs:
            self.inside.leave(job, self.now, used_seconds=seconds, completed=True)

    def one_after_the_other(self, seconds: float = 0.0) -> list[str]:
        """Run everything, each job to its end before the next one starts."""
        found: list[str] = []
        while started := self.starts(1):
            found += started
            self.ends(*started, seconds=seconds)
        return found

    def places(self, jobs: Iterable[str]) -> list[str]:
        return sorted(jobs, key=lambda job: self.inside.position(job) or 0)


# -- one device ----------------------------------------------------------------------------


def test_one_job_a_device_the_oldest_first() -> None:
    queue = Queue()
    queue.waits("a", "b")
    queue.waits("c", "d", device="torino")
    assert queue.starts() == ["a", "c"]
    queue.ends("c")
    assert queue.starts() == ["d"]


def test_an_active_session_goes_ahead_of_older_jobs() -> None:
    queue = Queue(session("s"))
    queue.waits("old")
    queue.waits("mine", session="s")
    assert queue.starts() == ["mine"]


def test_an_active_dedicated_session_has_its_device_to_itself() -> None:
    for state in (SessionState.ACTIVE, *BETWEEN):
        queue = Queue(session("s", state), session("t", SessionState.OPEN))
        queue.waits("other")
        queue.waits("theirs", session="t")
        queue.waits("elsewhere", device="torino")
        assert queue.starts() == ["elsewhere"]
        queue.becomes("s", SessionState.INACTIVE)
        assert queue.starts() == ["other"]


def test_a_session_that_is_not_active_waits_in_the_normal_queue_and_reserves_nothing() -> None:
    for state in BEFORE:
        queue = Queue(session("s", state))
        queue.waits("other")
        queue.waits("mine", session="s")
        queue.waits("another")
        assert queue.one_after_the_other() == ["other", "mine", "another"]


def test_once_its_first_job_has_started_the_others_of_a_session_jump_ahead() -> None:
    queue = Queue(session("s", SessionState.OPEN), shared=True)
    queue.waits("old")
    queue.waits("mine", session="s")
    queue.waits("young")
    queue.waits("next", session="s")
    assert queue.starts() == ["old"]
    queue.ends("old")
    assert queue.starts() == ["mine"]
    queue.becomes("s", SessionState.ACTIVE)
    queue.ends("mine")
    assert queue.one_after_the_other() == ["next", "young"]


def test_an_active_batch_goes_first_without_reserving() -> None:
    queue = Queue(session("b", mode=Mode.BATCH))
    queue.waits("other")
    queue.waits("mine", session="b")
    assert queue.one_after_the_other() == ["mine", "other"]


def test_a_session_between_two_states_starts_nothing_until_it_is_through() -> None:
    for state in BETWEEN:
        queue = Queue(session("s", state))
        queue.waits("mine", session="s")
        queue.waits("other")
        assert queue.starts() == []
        batch = Queue(session("s", state, Mode.BATCH))
        batch.waits("mine", session="s")
        batch.waits("other")
        assert batch.starts() == ["other"]


def test_what_is_chosen_is_what_the_lifecycle_lets_start() -> None:
    for state in SessionState:
        if state is SessionState.CLOSED:
            continue
        queue = Queue(session("s", state))
        queue.waits("mine", session="s")
        assert bool(queue.starts()) == lifecycle.may_start(session("s", state))


def test_a_job_that_goes_back_to_its_queue_has_its_old_place() -> None:
    queue = Queue()
    queue.waits("a", "b")
    assert queue.starts() == ["a"]
    queue.inside.requeue("a")
    assert queue.inside.position("a") == 1
    assert queue.one_after_the_other() == ["a", "b"]


def test_what_is_cancelled_leaves_its_queue() -> None:
    queue = Queue(session("s"))
    queue.waits("a", "b", "c")
    queue.waits("mine", session="s")
    for job in ("b", "mine", "nobody"):
        queue.inside.leave(job, NOON)
    queue.becomes("s", SessionState.CLOSED)
    assert queue.one_after_the_other() == ["a", "c"]
    assert queue.inside.length("manila") == 0


def test_a_job_is_in_its_queue_once_and_of_a_session_that_is_known() -> None:
    queue = Queue()
    queue.waits("a")
    with pytest.raises(ValueError, match="job a is in its queue already"):
        queue.waits("a")
    with pytest.raises(ValueError, match="session s, which is not known"):
        queue.waits("b", session="s")


# -- fair share ----------------------------------------------------------------------------


def test_who_has_used_least_goes_first() -> None:
    queue = Queue()
    queue.inside.charge("heavy", 10, TODAY)
    queue.waits("h1", "h2", owner="heavy")
    queue.waits("l1", "l2", owner="light")
    assert queue.one_after_the_other(seconds=1) == ["l1", "l2", "h1", "h2"]


def test_equal_owners_take_turns() -> None:
    queue = Queue()
    queue.waits("a1", "a2", "a3", owner="a")
    queue.waits("b1", "b2", owner="b")
    assert queue.one_after_the_other(seconds=1) == ["a1", "b1", "a2", "b2", "a3"]


def test_of_one_owner_what_came_first_starts_first_session_or_not() -> None:
    queue = Queue(session("s", SessionState.OPEN), shared=True)
    queue.waits("a")
    queue.waits("s1", session="s")
    queue.waits("b")
    assert queue.one_after_the_other(seconds=1) == ["a", "s1", "b"]


def test_use_is_the_same_on_every_device() -> None:
    queue = Queue()
    queue.waits("t1", device="torino", owner="a")
    assert queue.starts() == ["t1"]
    queue.waits("a1", owner="a")
    queue.waits("b1", owner="b")
    queue.ends("t1", seconds=5)
    assert queue.inside.used_seconds("a") == 5
    assert queue.one_after_the_other() == ["b1", "a1"]


def test_use_falls_out_of_the_window_after_28_days() -> None:
    queue = Queue()
    queue.inside.charge("a", 100, TODAY)
    queue.inside.charge("b", 1, TODAY + timedelta(days=1))
    queue.now = NOON + timedelta(days=WINDOW_DAYS - 1)
    queue.waits("a1", owner="a")
    queue.waits("b1", owner="b")
    assert queue.starts() == ["b1"]
    queue.inside.requeue("b1")
    queue.now += timedelta(days=1)
    assert queue.starts() == ["a1"], "what a used on the first day counts no longer"
    queue.ends("a1")


def test_active_sessions_share_fairly_too_where_devices_are_shared() -> None:
    queue = Queue(session("s", owner="a"), session("t", owner="b"), shared=True)
    queue.waits("single", owner="c")
    queue.waits("a1", "a2", owner="a", session="s")
    queue.waits("b1", "b2", owner="b", session="t")
    assert queue.one_after_the_other(seconds=1) == ["a1", "b1", "a2", "b2", "single"]


def test_a_session_that_has_its_device_to_itself_is_charged_its_active_time() -> None:
    for shared, charged in ((False, 90.0), (True, 5.0)):
        queue = Queue(session("s", SessionState.OPEN, owner="a"), shared=shared)
        queue.waits("j", owner="a", session="s")
        assert queue.starts() == ["j"]
        active = replace(
            queue.sessions["s"], state=SessionState.ACTIVE, started_at=NOON, activated_at=NOON
        )
        queue.put(active)
        queue.now += timedelta(seconds=25)
        queue.ends("j", seconds=5)
        queue.now += timedelta(seconds=60)
        queue.put(replace(active, state=SessionState.INACTIVE, used_seconds=90.0))
        assert queue.inside.used_seconds("a") == charged


def test_a_batch_is_charged_its_jobs() -> None:
    queue = Queue(session("b", mode=Mode.BATCH, owner="a"))
    queue.waits("j", owner="a", session="b")
    queue.starts()
    queue.ends("j", seconds=5)
    queue.now += timedelta(hours=1)
    queue.becomes("b", SessionState.INACTIVE)
    assert queue.inside.used_seconds("a") == 5


@given(
    used=st.lists(
        st.tuples(st.sampled_from("abc"), st.integers(0, 50), st.integers(0, 60)), max_size=30
    )
)
@settings(max_examples=200, derandomize=True)
def test_use_is_the_sum_of_the_last_28_days_whatever_the_order(
    used: list[tuple[str, int, int]],
) -> None:
    usage, last = Usage(), 0
    for owner, seconds, day in sorted(used, key=lambda each: each[2]):
        usage.add(owner, seconds, date.fromordinal(day + 1))
        changed = usage.roll(date.fromordinal(day + 1))
        assert all(each[2] <= day - WINDOW_DAYS for each in used if each[0] in changed) or changed
        last = day
    for owner in "abc":
        expected = sum(
            seconds for name, seconds, day in used if name == owner and day > last - WINDOW_DAYS
        )
        assert usage.of(owner) == expected * 1_000_000


# -- policies ------------------------------------------------------------------------------


def test_shared_devices_are_not_reserved() -> None:
    queue = Queue(session("s"), shared=True)
    queue.waits("single")
    queue.waits("mine", session="s")
    assert queue.one_after_the_other() == ["mine", "single"]


def test_the_policy_can_change_while_a_session_is_active() -> None:
    queue = Queue(session("s"))
    queue.waits("single")
    assert queue.inside.holder("manila") == "s"
    assert queue.starts() == []
    queue.inside.shared = True
    assert queue.inside.holder("manila") is None
    assert queue.starts() == ["single"]


# -- lanes ---------------------------------------------------------------------------------


def test_several_jobs_are_in_work_and_one_of_them_is_on_the_device() -> None:
    queue = Queue(lanes=3)
    queue.waits("a", "b", "c", "d")
    assert queue.starts() == ["a", "b", "c"]
    assert queue.inside.ask_device("b")
    assert queue.inside.ask_device("b"), "it has it already"
    assert not queue.inside.ask_device("a")
    assert not queue.inside.ask_device("c")
    assert queue.inside.on_device("manila") == "b"
    assert queue.inside.give_back("c") is None, "it is not on the device"
    assert queue.inside.give_back("b") == "a", "who was ready first goes first"
    assert queue.starts() == [], "b is read out, and still in work"
    queue.ends("b")
    assert queue.starts() == ["d"]
    assert queue.inside.leave("a", NOON) == "c"
    assert queue.inside.leave("c", NOON) is None


def test_who_is_cancelled_while_it_waits_for_the_device_never_gets_it() -> None:
    queue = Queue(lanes=3)
    queue.waits("a", "b", "c")
    queue.starts()
    assert [queue.inside.ask_device(job) for job in "abc"] == [True, False, False]
    assert not queue.inside.ask_device("b"), "asking twice changes nothing"
    queue.inside.leave("b", NOON)
    assert queue.inside.requeue("a") == "c"
    assert queue.inside.in_work("manila") == ["c"]


def test_a_dedicated_session_begins_on_a_device_that_nobody_else_uses() -> None:
    queue = Queue(session("s", SessionState.OPEN), lanes=3)
    queue.waits("single")
    queue.waits("s1", "s2", session="s")
    assert queue.starts() == ["single"]
    queue.ends("single")
    assert queue.starts(1) == ["s1"]
    queue.becomes("s", SessionState.ACTIVE)
    assert queue.starts() == ["s2"]


# -- places --------------------------------------------------------------------------------


@pytest.mark.minute
@given(data=st.data())
@settings(max_examples=400, derandomize=True)
def test_places_are_the_order_in_which_jobs_start(data: st.DataObject) -> None:
    """If nothing else comes and each job takes as long as those before it."""
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


def test_places_have_no_gaps_beyond_what_is_foreseen(monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_a_session_that_has_the_device_is_ahead_of_everybody() -> None:
    queue = Queue(session("s"), session("b", mode=Mode.BATCH, owner="p"))
    queue.waits("single", owner="q")
    queue.waits("b1", owner="p", session="b")
    queue.waits("s1", "s2", session="s")
    assert queue.places(["single", "b1", "s1", "s2"]) == ["s1", "s2", "b1", "single"]
    assert [queue.inside.position(job) for job in ("s1", "s2", "b1", "single")] == [1, 2, 3, 4]
    assert queue.starts() == ["s1"]
    assert queue.inside.position("s1") is None
    assert queue.inside.position("nobody") is None


# -- estimates -----------------------------------------------------------------------------


def ran(queue: Queue, *seconds: float, of: str | None = None) -> None:
    for number, each in enumerate(seconds):
        job = f"ran {number} {of}"
        queue.waits(job, session=of)
        assert queue.starts() == [job]
        queue.ends(job, seconds=each)


def test_an_estimate_says_what_it_rests_on() -> None:
    queue = Queue()
    ran(queue, 1.0, 2.0, 9.0)
    queue.waits("a", "b", "c")
    queue.starts()
    queue.now += timedelta(seconds=0.5)
    found = queue.inside.estimate("c", queue.now)
    assert found is not None
    assert found.start_seconds == pytest.approx(3.5), "the rest of a, and all of b"
    assert found.basis == "3 jobs on manila took 2 s each (median)"


def test_a_sessions_own_jobs_tell_more_than_the_devices() -> None:
    queue = Queue(session("s"))
    ran(queue, 4.0, 4.0, 4.0, of="s")
    queue.waits("x", "y", session="s")
    found = queue.inside.estimate("y", queue.now)
    assert found == (4.0, "3 jobs of this session took 4 s each (median)")


def test_there_is_no_estimate_without_something_to_rest_it_on() -> None:
    queue = Queue(session("later", SessionState.OPEN))
    ran(queue, 1.0, 1.0)
    queue.waits("a", "b")
    assert queue.inside.estimate("b", NOON) is None, "two jobs are too few"
    assert queue.inside.estimate("nobody", NOON) is None
    queue.starts()
    queue.ends("a", seconds=1)
    assert queue.inside.estimate("b", NOON) == (0.0, "3 jobs on manila took 1 s each (median)")
    queue.waits("s1", session="later")
    queue.waits("c")
    assert queue.inside.estimate("c", NOON) is None, "a session is ahead, for who knows how long"
    queue.starts()
    queue.ends("b", seconds=1)
    queue.starts()
    queue.becomes("later", SessionState.ACTIVE)
    assert queue.inside.estimate("c", NOON) is None, "it has the device to itself"
    queue.inside.shared = True
    assert queue.inside.estimate("c", NOON) is not None
