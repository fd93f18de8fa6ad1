"""The server's clock, from the `Date` headers of answers."""

from __future__ import annotations

import email.utils
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.responses import JSONResponse

from qsession_widget import QiskitRuntimeService
from qsession_widget.transport import server_time
from qsession_widget.transport.server_time import ServerTime
from tests.client.throwaway import Script, serving

if TYPE_CHECKING:
    from pathlib import Path


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr(server_time, "time", self)

    def monotonic(self) -> float:
        return self.now


def date(stamp: float) -> str:
    return email.utils.formatdate(int(stamp), usegmt=True)


@given(
    offset=st.floats(0, 2e9),
    exchanges=st.lists(
        st.tuples(st.floats(0, 100), st.floats(0, 5), st.floats(0, 1)), min_size=1, max_size=20
    ),
)
def test_the_estimate_improves_with_each_response(
    offset: float, exchanges: list[tuple[float, float, float]]
) -> None:
    with pytest.MonkeyPatch.context() as patched:
        clock, estimate, at, best = Clock(patched), ServerTime(), 0.0, 1e9
        for pause, took, part in exchanges:
            at += pause
            estimate.learn(date(offset + at + part * took), at, at + took)
            at += took
            best = min(best, took + 1)
            clock.now = at
            error = abs(estimate.now().timestamp() - (offset + at))
            assert error <= best / 2 + 1e-3


def test_a_clock_that_was_set_is_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, estimate = Clock(monkeypatch), ServerTime()
    estimate.learn(date(1000), 0, 0)
    estimate.learn(date(5000), 1, 1)
    clock.now = 1
    assert estimate.now() == datetime.fromtimestamp(5000.5, UTC)


@pytest.mark.parametrize("header", [None, "", "yesterday", "99"])
def test_unusable_date_headers_are_ignored(header: str | None) -> None:
    estimate = ServerTime()
    estimate.learn(header, 0, 0)
    assert abs(estimate.now() - datetime.now(UTC)) < timedelta(minutes=1)


def test_a_service_knows_its_servers_time() -> None:
    yesterday = datetime.now(UTC) - timedelta(days=1)
    headers = {"Date": email.utils.format_datetime(yesterday, usegmt=True)}
    with serving(Script(JSONResponse({"devices": []}, headers=headers)).app) as root:
        service = QiskitRuntimeService("local", "t", root)
        assert abs(service.server_time() - datetime.now(UTC)) < timedelta(minutes=1)
        service.backends()
        assert abs(service.server_time() - yesterday) < timedelta(minutes=1)


def test_the_runtime_sends_its_time(runtime: Path) -> None:
    assert runtime
    service = QiskitRuntimeService("local")
    service.backends()
    assert service.api.transport.server_time._low > float("-inf")
