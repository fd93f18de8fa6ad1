"""Route that deletes params and results of ended jobs on request."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from starlette.routing import Route

from qsession_widget.runtime import bounds
from qsession_widget.runtime.http import errors, parsing
from qsession_widget.runtime.http.requester import require_administrator
from qsession_widget.runtime.http.responses import JsonAnswer
from qsession_widget.runtime.store.retention import MOST_DAYS, Bounds, used_bytes
from qsession_widget.wire.documents import LARGEST

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from qsession_widget.runtime.http.kept_answers import AnswersByKey
    from qsession_widget.runtime.store.retention import Retention
    from qsession_widget.runtime.store.store import Store


@dataclass(frozen=True)
class CollectionRoutes:
    """The endpoint `/qsession/gc`, for the administrator only."""

    store: Store
    retention: Retention
    acts: AnswersByKey

    def routes(self) -> list[Route]:
        """Return the route, relative to the API's prefix."""
        return [Route("/qsession/gc", self.collect_now, methods=["POST"])]

    async def collect_now(self, request: Request) -> Response:
        """POST /qsession/gc: remove data of finished jobs beyond bounds.

        0 is a bound: 0 days remove the data of every job that has ended.
        """
        require_administrator(request)
        body = await parsing.body(request, bounds.SMALL_BODY_BYTES)
        own = self.retention.bounds
        size = _bound(body, "max_store_bytes", LARGEST, own.store_bytes)
        wanted = Bounds(
            _bound(body, "retention_days", MOST_DAYS, own.days),
            None if size is None else int(size),
        )
        removed = await self.acts.once(
            parsing.owner(request),
            parsing.idempotency_key(request),
            f"removing what is beyond {wanted}",
            partial(self.retention.collect, wanted),
        )
        return JsonAnswer(
            {
                "jobs": removed.jobs,
                "characters": removed.characters,
                "store_bytes": await self.store.read(used_bytes),
                "retention_days": wanted.days,
                "max_store_bytes": wanted.store_bytes,
            }
        )


def _bound(body: dict[str, Any], name: str, most: float, own: float | None) -> float | None:
    value = body.get(name)
    if value is None:
        return own
    if type(value) not in {int, float} or not 0 <= value <= most:
        raise errors.bad_request(
            f"{name} is {value!r:.80}.", f"Allowed are numbers from 0 to {most:g}."
        )
    return float(value)
