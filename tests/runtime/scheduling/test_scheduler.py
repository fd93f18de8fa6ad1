"""Which job starts next, the position of each one, and its estimated start."""

from __future__ import annotations

from datetime import timedelta

import pytest
from msgspec.structs import replace

from qsession_widget.runtime.model import lifecycle
from qsession_widget.runtime.scheduling.fairshare import WINDOW_DAYS
from qsession_widget.wire.states import Mode, SessionState
from tests.runtime.scheduling.queue_of_jobs import BEFORE, BETWEEN, NOON, TODAY, Queue, session


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


def test_a_session_in_transition_starts_nothing() -> None:
    for state in BETWEEN:
        queue = Queue(session("s", state))
        queue.waits("mine", session="s")
        queue.waits("other")
        assert queue.starts() == []
        batch = Queue(session("s", state, Mode.BATCH))
        batch.waits("mine", session="s")
        batch.waits("other")
        assert batch.starts() == ["other"]


def test_the_scheduler_only_chooses_jobs_that_the_lifecycle_allows() -> None:
    for state in SessionState:
        if state is SessionState.CLOSED:
            continue
        queue = Queue(session("s", state))
        queue.waits("mine", session="s")
        assert bool(queue.starts()) == lifecycle.may_start(session("s", state))


def test_a_requeued_job_has_its_old_position() -> None:
    queue = Queue()
    queue.waits("a", "b")
    assert queue.starts() == ["a"]
    queue.inside.requeue("a")
    assert queue.inside.position("a") == 1
    assert queue.one_after_the_other() == ["a", "b"]


def test_a_cancelled_job_leaves_its_queue() -> None:
    queue = Queue(session("s"))
    queue.waits("a", "b", "c")
    queue.waits("mine", session="s")
    for job in ("b", "mine", "unknown"):
        queue.inside.leave(job, NOON)
    queue.becomes("s", SessionState.CLOSED)
    assert queue.one_after_the_other() == ["a", "c"]
    assert queue.inside.length("manila") == 0


def test_duplicate_jobs_and_unknown_sessions_are_refused() -> None:
    queue = Queue()
    queue.waits("a")
    with pytest.raises(ValueError, match="job a is in its queue already"):
        queue.waits("a")
    with pytest.raises(ValueError, match="session s, which is not known"):
        queue.waits("b", session="s")


# -- fair share ----------------------------------------------------------------------------


def test_the_owner_with_the_least_usage_goes_first() -> None:
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


def test_jobs_of_one_owner_start_in_order_with_or_without_a_session() -> None:
    queue = Queue(session("s", SessionState.OPEN), shared=True)
    queue.waits("a")
    queue.waits("s1", session="s")
    queue.waits("b")
    assert queue.one_after_the_other(seconds=1) == ["a", "s1", "b"]


def test_usage_counts_across_devices() -> None:
    queue = Queue()
    queue.waits("t1", device="torino", owner="a")
    assert queue.starts() == ["t1"]
    queue.waits("a1", owner="a")
    queue.waits("b1", owner="b")
    queue.ends("t1", seconds=5)
    assert queue.inside.used_seconds("a") == 5
    assert queue.one_after_the_other() == ["b1", "a1"]


def test_usage_expires_after_28_days() -> None:
    queue = Queue()
    queue.inside.charge("a", 100, TODAY)
    queue.inside.charge("b", 1, TODAY + timedelta(days=1))
    queue.now = NOON + timedelta(days=WINDOW_DAYS - 1)
    queue.waits("a1", owner="a")
    queue.waits("b1", owner="b")
    assert queue.starts() == ["b1"]
    queue.inside.requeue("b1")
    queue.now += timedelta(days=1)
    assert queue.starts() == ["a1"], "usage of the first day has expired"
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
    assert queue.inside.release("c") is None, "it is not on the device"
    assert queue.inside.release("b") == "a", "the job that was ready first goes first"
    assert queue.starts() == [], "b is read out, and still in work"
    queue.ends("b")
    assert queue.starts() == ["d"]
    assert queue.inside.leave("a", NOON) == "c"
    assert queue.inside.leave("c", NOON) is None


def test_a_job_cancelled_while_it_waits_for_the_device_never_gets_it() -> None:
    queue = Queue(lanes=3)
    queue.waits("a", "b", "c")
    queue.starts()
    assert [queue.inside.ask_device(job) for job in "abc"] == [True, False, False]
    assert not queue.inside.ask_device("b"), "asking twice changes nothing"
    queue.inside.leave("b", NOON)
    assert queue.inside.requeue("a") == "c"
    assert queue.inside.in_work("manila") == ["c"]


def test_a_dedicated_session_starts_on_an_unused_device() -> None:
    queue = Queue(session("s", SessionState.OPEN), lanes=3)
    queue.waits("single")
    queue.waits("s1", "s2", session="s")
    assert queue.starts() == ["single"]
    queue.ends("single")
    assert queue.starts(1) == ["s1"]
    queue.becomes("s", SessionState.ACTIVE)
    assert queue.starts() == ["s2"]
