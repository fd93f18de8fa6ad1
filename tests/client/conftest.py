"""Fixtures that several files of the client's tests share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from qsession_widget import Sampler
from qsession_widget.client.default_service import default_service
from qsession_widget.transport.http import Transport
from tests.client.circuits import bell
from tests.conftest import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from qsession_widget import RuntimeJob


@pytest.fixture
def running_job(slow_runtime: object) -> Iterator[RuntimeJob]:
    """Yield a job that stays running."""
    assert slow_runtime
    job = Sampler("fake_manila").run(bell())
    eventually(job.running, "a running job")
    yield job
    for left in default_service().jobs(limit=None, pending=True):
        left.cancel()


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return a list that collects the lengths of pauses, which take no time here."""
    noted: list[float] = []
    monkeypatch.setattr(
        Transport, "pause", lambda _, seconds: noted.append(seconds) if seconds else None
    )
    return noted


@pytest.fixture
def as_at_ibm(runtime: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the local runtime's extensions, so that it looks like IBM's service."""
    assert runtime
    monkeypatch.setattr(default_service(), "_features", frozenset())


@pytest.fixture(params=["local", "at IBM"])
def place(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run against the local runtime, or as against a service that only knows Qiskit."""
    if request.param == "at IBM":
        monkeypatch.setattr(default_service(), "_features", frozenset())
    return str(request.param)
