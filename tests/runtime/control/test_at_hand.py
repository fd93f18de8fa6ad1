"""Payloads and outcomes in memory: few, small, and returned once."""

from __future__ import annotations

from msgspec.structs import replace

from qsession_widget.runtime.control.at_hand import LARGEST, MOST, AtHand
from qsession_widget.runtime.model.job import Job
from tests.runtime.bench import NOON

JOB = Job("j", "o", "fake_manila", "sampler", NOON)


def test_a_payload_is_returned_once() -> None:
    at_hand = AtHand()
    assert at_hand.keep_payload("j", "{}")
    assert (at_hand.take_payload("j"), at_hand.take_payload("j")) == ("{}", None)


def test_few_and_small_payloads_are_kept() -> None:
    at_hand = AtHand()
    assert not at_hand.keep_payload("large", "x" * (LARGEST + 1))
    assert all(at_hand.keep_payload(str(number), "x") for number in range(MOST))
    assert not at_hand.keep_payload("one more", "x")
    at_hand.take_payload("0")
    assert at_hand.keep_payload("one more", "x")


def test_an_outcome_is_returned_once_and_to_its_owner() -> None:
    at_hand = AtHand()
    at_hand.keep_outcome(JOB, "result")
    assert "j" in at_hand
    assert at_hand.take_outcome("another", "j") is None
    assert at_hand.take_outcome("o", "j") == (JOB, "result")
    assert "j" not in at_hand
    assert at_hand.take_outcome("o", "j") is None


def test_large_and_private_outcomes_are_not_kept_and_old_ones_go() -> None:
    at_hand = AtHand()
    at_hand.keep_outcome(JOB, "x" * (LARGEST + 1))
    at_hand.keep_outcome(replace(JOB, private=True), "x")
    assert "j" not in at_hand
    for number in range(MOST + 1):
        at_hand.keep_outcome(replace(JOB, id=str(number)), "x")
    assert ["0" in at_hand, "1" in at_hand, str(MOST) in at_hand] == [False, True, True]


def test_outcomes_of_changed_jobs_are_dropped() -> None:
    at_hand = AtHand()
    at_hand.keep_outcome(JOB, "x")
    at_hand.forget_outcomes(["j", "unknown"])
    assert "j" not in at_hand
