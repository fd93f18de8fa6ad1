"""Servers that answer requests about one job from a script."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, PlainTextResponse, Response

from qsession_widget import QiskitRuntimeService
from tests.client.throwaway import Script

if TYPE_CHECKING:
    from qsession_widget import RuntimeJob


def job_json(state_status: str, **more: Any) -> dict[str, Any]:
    return {
        "id": "j",
        "backend": "b",
        "created": "2026-09-22T11:26:48.24885Z",
        "program": {"id": "sampler"},
        "state": {"status": state_status, **more.pop("state", {})},
        **more,
    }


class Service(Script):
    """Answers with one status after the other, then repeats the last one."""

    def __init__(
        self,
        *states: dict[str, Any],
        results: Response | None = None,
        metrics: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(*(JSONResponse(state) for state in states))
        self.results = results or PlainTextResponse("[1, 2]")
        self.metrics = JSONResponse(metrics or {})

    async def answer(self, request: Any) -> Response:
        if request.url.path.endswith("/results"):
            return self.results
        if request.url.path.endswith("/metrics"):
            return self.metrics
        return await super().answer(request)


def job_of(root: str) -> RuntimeJob:
    service = QiskitRuntimeService("local", "t", root)
    return service.job("j")


class Outage(Service):
    """Is unavailable for some requests, and then reports that the job is done."""

    def __init__(self, questions: int) -> None:
        super().__init__(job_json("Running"), job_json("Completed"))
        self.left = questions

    async def answer(self, request: Any) -> Response:
        # The first request finds the job; the outage follows.
        if self.asked and self.left and not request.url.path.endswith("/qsession"):
            self.left -= 1
            return Response(status_code=503)
        return await super().answer(request)
