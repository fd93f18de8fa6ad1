"""What several files of the client's tests start from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from qsession_widget import QiskitRuntimeService, Sampler
from qsession_widget.client.service import default_service
from qsession_widget.transport.http import Transport
from tests.client.circuits import bell
from tests.conftest import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from qsession_widget import RuntimeJob


@pytest.fixture
def service(runtime: Path) -> Iterator[QiskitRuntimeService]:
    assert runtime
    with QiskitRuntimeService("local") as found:
        yield found


@pytest.fixture
def running_job(slow_runtime: object) -> Iterator[RuntimeJob]:
    """Give a job that is sure to be running still."""
    assert slow_runtime
    job = Sampler("fake_manila").run(bell())
    eventually(job.running, "a running job")
    yield job
    for left in default_service().jobs(limit=None, pending=True):
        left.cancel()


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Give the lengths of pauses, which take no time here."""
    noted: list[float] = []
    monkeypatch.setattr(
        Transport, "pause", lambda _, seconds: noted.append(seconds) if seconds else None
    )
    return noted


@pytest.fixture
def as_at_ibm(runtime: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the local runtime taken for a service without our extensions, as IBM's is."""
    assert runtime
    monkeypatch.setattr(default_service(), "_features", frozenset())
