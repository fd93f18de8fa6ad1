"""What is sent to a host and back arrives as it was."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from qsession_widget.runtime.dask import frames
from qsession_widget.runtime.pieces import Content
from qsession_widget.runtime.worker.limits import Limits
from qsession_widget.runtime.worker.lru_cache import Figures
from qsession_widget.runtime.worker.messages import (
    Done,
    Event,
    Expected,
    Failed,
    Interim,
    Lost,
    Reached,
    Stopped,
    Task,
)
from qsession_widget.wire.states import Stage

TASK = Task(
    job_id="j",
    affinity="s",
    program_id="sampler",
    params='{"ä": 1}',
    backend="b",
    optimization_level=1,
    min_seconds=0.5,
    device="d",
    limits=Limits(qubits=5, memory_bytes=7),
    asks=True,
    attempt=3,
)


def test_a_task_arrives_as_it_was() -> None:
    message = frames.encode_task(TASK, do="submit", slot=1)
    assert frames.decode(message)["slot"] == 1
    assert frames.decode_task(message) == TASK


def test_a_long_payload_travels_in_its_pieces() -> None:
    pieces: list[bytes | memoryview] = [b"a" * 5, memoryview(b"bc")]
    message = frames.encode_task(replace(TASK, params=Content(pieces)), do="submit", slot=0)
    assert message[1:] == [b"aaaaa", b"bc"]
    params = frames.decode_task(message).params
    assert isinstance(params, Content)
    assert params.pieces == [b"aaaaa", b"bc"]


@pytest.mark.parametrize(
    "event",
    [
        Interim("text"),
        Expected(3.5, "its pubs"),
        Done("{}", 0.5, Figures(1, 2, 3.0)),
        Failed("reason", "traceback"),
        Stopped(),
        Lost(-9),
        Lost(None),
    ],
)
def test_an_event_arrives_as_it_was_with_the_attempt_that_it_is_of(event: Event) -> None:
    message = frames.encode_event(TASK, event, number=4)
    assert frames.decode(message)["number"] == 4
    assert frames.decode_event(message) == ("j", 3, event)


def test_a_long_result_travels_in_its_pieces() -> None:
    message = frames.encode_event(TASK, Done(Content([b"x", b"y"]), 0.5))
    event = frames.decode_event(message).event
    assert isinstance(event, Done)
    assert isinstance(event.result, Content)
    assert event.result.pieces == [b"x", b"y"]


def test_the_time_of_a_stage_is_sent_as_its_age() -> None:
    began = time.monotonic() - 100
    message = frames.encode_event(TASK, Reached(Stage.ON_DEVICE, began))
    assert 100 <= frames.decode(message)["event"]["at"] < 1_000
    event = frames.decode_event(message).event
    assert isinstance(event, Reached)
    assert event.stage is Stage.ON_DEVICE
    assert event.at >= began
