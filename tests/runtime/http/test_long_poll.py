"""Rapid polls of an unfinished job are held; everything else is answered at once."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from starlette.datastructures import Address

from qsession_widget.runtime.http import long_poll
from qsession_widget.runtime.http.long_poll import QUICK_SECONDS, LongPoll
from tests.conftest import running
from tests.runtime.http.test_workloads import Client

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

HERE, THERE = Address("127.0.0.1", 1), Address("127.0.0.1", 2)


class Clock:
    now = 100.0

    def monotonic(self) -> float:
        return self.now


def test_only_a_quick_second_poll_of_the_same_client_is_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock()
    monkeypatch.setattr(long_poll, "time", clock)
    seen = LongPoll()
    assert not seen.hold_seconds(HERE, "job")
    seen.answered(HERE, "job", quick=False)
    assert seen.hold_seconds(HERE, "job") == 0.25
    assert not seen.hold_seconds(THERE, "job")
    assert not seen.hold_seconds(HERE, "other")
    clock.now += QUICK_SECONDS
    assert seen.hold_seconds(HERE, "job") == QUICK_SECONDS
    clock.now += 0.01
    assert not seen.hold_seconds(HERE, "job")
    seen.answered(HERE, "job", quick=False)
    seen.forget(HERE, "job")
    assert not seen.hold_seconds(HERE, "job")


def test_a_poll_is_held_as_long_as_the_client_has_been_asking(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock()
    monkeypatch.setattr(long_poll, "time", clock)
    seen = LongPoll()
    seen.answered(HERE, "job", quick=False)
    for passed, held in ((0.125, 0.25), (0.5, 0.625), (0.5, 1.0)):
        clock.now += passed
        assert seen.hold_seconds(HERE, "job") == held
        seen.answered(HERE, "job", quick=True)
    seen.answered(HERE, "job", quick=False)
    assert seen.hold_seconds(HERE, "job") == 0.25


def test_abandoned_polls_are_forgotten() -> None:
    seen = LongPoll()
    for number in range(2000):
        seen.answered(HERE, str(number), quick=False)
    assert len(seen._asking) == 1024
    assert not seen.hold_seconds(HERE, "0")


HOLD_AN_HOUR = ("--hold-new-jobs-seconds", "3600")


def test_a_poll_of_a_new_job_is_answered_at_its_end(tmp_path: Path) -> None:
    with running(tmp_path, *HOLD_AN_HOUR) as home:
        client = Client(home)
        for _ in range(2):
            assert client.json(f"/jobs/{client.submit()}")["status"] == "Completed"


def test_a_poll_is_answered_at_once_where_holding_would_be_useless(tmp_path: Path) -> None:
    # The client gives up after half a minute.
    with running(tmp_path, *HOLD_AN_HOUR, "--min-job-seconds", "3600") as home:
        client = Client(home)
        # A client that sends a key does not poll.
        body = client.submission()
        answer = client.ask("POST", "/jobs", data=body, headers={"Idempotency-Key": "mine"})
        assert answer.status_code == 200
        # This job has to wait for the first one.
        behind = client.ask("POST", "/jobs", data=body).json()["id"]
        assert client.json(f"/jobs/{behind}")["status"] == "Queued"


def test_a_held_poll_is_answered_when_the_job_ends(slow_home: Path) -> None:
    client, other = Client(slow_home), Client(slow_home)
    job_id = client.submit(backend="fake_belem")
    path = f"/jobs/{job_id}?exclude_params=true"
    told: list[str] = []

    def poll() -> None:
        # At least two polls: the second one waits for the other client's change.
        while not told or told[-1] in {"Queued", "Running"}:
            told.append(client.ask("GET", path).json()["status"])
            asked.set()

    asked = threading.Event()
    thread = threading.Thread(target=poll)
    thread.start()
    assert asked.wait(30)
    assert other.ask("POST", f"/jobs/{job_id}/cancel").status_code == 204
    thread.join(30)
    assert told[-1] == "Cancelled"
    # Each is held twice as long as the one before; without holding there would be hundreds.
    assert len(told) <= 25
