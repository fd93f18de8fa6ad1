from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from starlette.responses import Response
from starlette.routing import Route

from qsession_widget.runtime.http.middleware.prefix import PrefixMiddleware

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send


async def answer(_request: Request) -> Response:
    return Response()


async def app(_scope: Scope, _receive: Receive, _send: Send) -> None: ...


@pytest.mark.parametrize(
    ("path", "cut"),
    [
        ("/jobs", "/jobs"),
        ("/api/v1/jobs/j", "/jobs/j"),
        ("/experimental/api/v1/jobs/jobs", "/jobs/jobs"),
        ("http://somewhere.example/api/v1/jobs", "/jobs"),
        ("/api/v1/nowhere", "/api/v1/nowhere"),
        ("/", "/"),
    ],
)
def test_a_prefix_before_a_route_is_removed(path: str, cut: str) -> None:
    middleware = PrefixMiddleware(app, [Route("/jobs/{job_id}", answer)])
    assert middleware.cut(path) == cut
