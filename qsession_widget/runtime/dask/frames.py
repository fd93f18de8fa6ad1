"""Commands to a host and events from it, as frames: MessagePack, and long texts in pieces.

A message is a list of frames: a head, and the pieces that belong to it.
"""

from __future__ import annotations

import time
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec import msgpack

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

if TYPE_CHECKING:
    from collections.abc import Sequence

Frames = list[bytes]

_KINDS: dict[type[Any], str] = {
    Interim: "interim",
    Reached: "reached",
    Expected: "expected",
    Done: "done",
    Failed: "failed",
    Stopped: "stopped",
    Lost: "lost",
}
_TYPES = {kind: type_ for type_, kind in _KINDS.items()}


class Told(NamedTuple):
    """An event, as a host tells it.

    Attributes:
        job_id: the job.
        attempt: the number of its attempt.
        event: what happened to it.
    """

    job_id: str
    attempt: int
    event: Event


def encode(head: dict[str, Any], pieces: Sequence[bytes | memoryview] = ()) -> Frames:
    """Return a message with a head and pieces."""
    return [msgpack.encode(head), *map(bytes, pieces)]


def decode(frames: Frames) -> dict[str, Any]:
    """Return the head of a message."""
    head: dict[str, Any] = msgpack.decode(frames[0])
    return head


def encode_task(task: Task, **head: Any) -> Frames:
    """Return a message with a task, and more in its head."""
    if isinstance(task.params, str):
        return encode({**head, "task": asdict(task)})
    pieces = task.params.pieces
    return encode({**head, "task": asdict(replace(task, params=""))}, pieces)


def decode_task(frames: Frames) -> Task:
    """Return the task of a message."""
    found = decode(frames)["task"]
    found["limits"] = Limits(**found["limits"])
    task = Task(**found)
    return replace(task, params=Content(frames[1:])) if len(frames) > 1 else task


def encode_event(task: Task, event: Event, **head: Any) -> Frames:
    """Return a message with an event of a task, and more in its head."""
    fields = {name: getattr(event, name) for name in event.__dataclass_fields__}
    pieces: Sequence[bytes | memoryview] = ()
    match event:
        case Reached(_, at):
            # The clocks of two machines have nothing in common but their pace.
            fields["at"] = time.monotonic() - at
        case Done(Content(found)):
            fields["result"], pieces = "", found
        case _:
            pass
    about = {"job_id": task.job_id, "attempt": task.attempt, "kind": _KINDS[type(event)]}
    return encode({**head, **about, "event": fields}, pieces)


def decode_event(frames: Frames) -> Told:
    """Return the event of a message."""
    head = decode(frames)
    fields, kind = head["event"], _TYPES[head["kind"]]
    if kind is Reached:
        fields["stage"], fields["at"] = Stage(fields["stage"]), time.monotonic() - fields["at"]
    if kind is Done:
        fields["cache"] = Figures(**fields["cache"])
        if len(frames) > 1:
            fields["result"] = Content(frames[1:])
    return Told(head["job_id"], head["attempt"], kind(**fields))
