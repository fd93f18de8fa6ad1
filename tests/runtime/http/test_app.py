from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from qsession_widget.runtime.http.app import _Activity

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send


async def nothing(*_given: Any) -> Any: ...


async def test_a_request_that_is_being_answered_is_activity() -> None:
    activity = _Activity()
    quiet: list[float] = []

    async def app(_scope: Scope, _receive: Receive, _send: Send) -> None:
        quiet.append(activity.quiet_seconds)

    await asyncio.sleep(0.01)
    before = activity.quiet_seconds
    await activity.middleware(app)({"type": "lifespan"}, nothing, nothing)
    await activity.middleware(app)({"type": "http"}, nothing, nothing)
    quiet.extend([before, activity.quiet_seconds])
    during_lifespan, during_request, before, after = quiet
    assert during_request == 0
    assert during_lifespan >= before > 0
    assert after < before
