"""How a program ends in a worker: with a result, or with a refusal."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from qsession_widget.wire.results.summary import Summary


class RejectedError(Exception):
    """The job cannot run as it is; the message becomes its reason."""


class Outcome(NamedTuple):
    """What a finished program returns.

    Attributes:
        result: the encoded result.
        busy_seconds: how long the simulation took.
        summary: the result in few characters; None if it has no such form.
    """

    result: str
    busy_seconds: float
    summary: Summary | None = None
