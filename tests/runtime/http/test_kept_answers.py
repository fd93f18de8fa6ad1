from __future__ import annotations

import asyncio

import pytest

from qsession_widget.runtime.http import kept_answers
from qsession_widget.runtime.http.kept_answers import AnswersByKey, DeletedJobs, GivenOnce


def test_a_private_result_is_given_again_to_the_same_key_only() -> None:
    given = GivenOnce()
    assert given.may_have("j", None)
    assert given.give("j", "k"), "the first time"
    assert not given.give("j", "k")
    assert given.may_have("j", "k")
    assert not given.may_have("j", "other")
    assert not given.may_have("j", None)


def test_a_private_result_that_was_lost_is_given_again_without_a_key() -> None:
    given = GivenOnce()
    given.give("j", None)
    assert not given.may_have("j", None)
    given.give("j", None, lost=True)
    assert given.may_have("j", None)
    given.forget("j")
    assert "j" not in given


async def test_the_same_key_of_the_same_owner_gives_the_first_answer() -> None:
    acts: list[str] = []

    async def act() -> list[str]:
        acts.append("act")
        return [str(len(acts))]

    answers = AnswersByKey()
    asked = [("o", "k"), ("o", "k"), ("other", "k"), ("o", None), ("o", None)]
    found = [await answers.once(owner, key, "what", act) for owner, key in asked]
    assert found == [["1"], ["1"], ["2"], ["3"], ["4"]]


def test_deleted_jobs_are_reported_to_clients_that_know_them() -> None:
    deleted = DeletedJobs()
    deleted.add("s", 5, "a")
    deleted.add("s", 8, "b")
    assert deleted.since("s", 4) == {5: "a", 8: "b"}
    assert deleted.since("s", 5) == {8: "b"}
    assert deleted.since("s", 0) == {}, "a client that knows nothing yet"
    for number in range(1, 2 * kept_answers._MOST):
        deleted.add("s", 10 + number, str(number))
    assert len(deleted.since("s", 1)) == kept_answers._MOST


async def test_a_repeated_request_waits_for_the_first_one() -> None:
    acts = AnswersByKey()
    done: list[None] = []

    async def act() -> int:
        done.append(None)
        await asyncio.sleep(0)
        return len(done)

    async def fail() -> int:
        await act()
        raise ValueError("not now")

    assert await asyncio.gather(*(acts.once("ada", "k", "it", act) for _ in range(3))) == [1] * 3
    assert await acts.once("bob", "k", "it", act) == 2
    assert await acts.once("ada", None, "it", act) == 3
    for _ in range(2):
        with pytest.raises(ValueError, match="not now"):
            await acts.once("ada", "f", "it", fail)
    assert len(done) == 5
