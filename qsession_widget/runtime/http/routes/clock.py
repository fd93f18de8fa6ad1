"""Routes of the runtime's clock: read it, and advance virtual time."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from starlette.routing import Route

from qsession_widget.runtime import bounds
from qsession_widget.runtime.clock import VIRTUAL
from qsession_widget.runtime.http import errors, parsing, serializers
from qsession_widget.runtime.http.requester import require_administrator
from qsession_widget.runtime.http.responses import JsonAnswer

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from qsession_widget.runtime.clock import Clock
    from qsession_widget.runtime.control.coordinator import Coordinator
    from qsession_widget.runtime.http.kept_answers import AnswersByKey

LONGEST_ADVANCE_SECONDS = 366 * 86_400


@dataclass(frozen=True)
class ClockRoutes:
    """The endpoint `/qsession/clock`."""

    clock: Clock
    coordinator: Coordinator
    acts: AnswersByKey

    def routes(self) -> list[Route]:
        """Return every route, relative to the API's prefix."""
        return [
            Route("/qsession/clock", self.read_clock),
            Route("/qsession/clock", self.advance_clock, methods=["POST"]),
        ]

    async def read_clock(self, _request: Request) -> Response:
        """GET /qsession/clock: read the clock: its kind, its time and its rate."""
        return self._answer()

    async def advance_clock(self, request: Request) -> Response:
        """POST /qsession/clock: let virtual time pass, `advance_seconds` of it.

        The answer comes when everything that was due has happened and is on disk.
        """
        require_administrator(request)
        seconds = _seconds(await parsing.body(request, bounds.SMALL_BODY_BYTES))
        if self.clock.kind != VIRTUAL:
            raise errors.clock_runs_by_itself(self.clock.kind)
        await self.acts.once(
            parsing.owner(request),
            parsing.idempotency_key(request),
            f"advancing the clock by {seconds} s",
            partial(self.coordinator.advance, seconds),
        )
        return self._answer()

    def _answer(self) -> Response:
        return JsonAnswer(
            {
                "kind": self.clock.kind,
                "now": serializers.instant(self.clock.now()),
                "rate": self.clock.rate,
            }
        )


def _seconds(body: dict[str, Any]) -> float:
    value = body.get("advance_seconds")
    if (
        not isinstance(value, (int, float))
        or isinstance(value, bool)
        or not 0 < value <= LONGEST_ADVANCE_SECONDS
    ):
        raise errors.bad_request(
            f"advance_seconds is {value!r:.80}.",
            f"Allowed are seconds above 0 and up to {LONGEST_ADVANCE_SECONDS}.",
        )
    return float(value)
