"""Figures beyond IBM's API, from the worker to the panel's traits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import requests
from qiskit import QuantumCircuit

from qsession_widget import Sampler, Session
from qsession_widget.wire.discovery import Discovery
from tests.conftest import eventually, running, use
from tests.panel.conftest import Wire, click, shown

if TYPE_CHECKING:
    from pathlib import Path

    from qsession_widget import SessionPanel

COMPLETED = 2


def circuit() -> QuantumCircuit:
    made = QuantumCircuit(1)
    made.measure_all()
    return made


def page_of(panel: SessionPanel) -> Any:
    return panel.get_state()["page0"]


def test_stages_usage_and_estimates_reach_the_panel(
    tmp_path: Path, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    del wire
    with running(tmp_path, "--min-job-seconds", "0.5") as folder:
        use(folder, monkeypatch)
        session = Session(backend="fake_manila", max_time=600)
        panel = shown(session)
        jobs = [Sampler(mode=session).run([circuit()], shots=10) for _ in range(4)]
        # An estimate needs jobs that have ended, so only later jobs get one.
        more = [Sampler(mode=session).run([circuit()], shots=10) for _ in range(4)]
        estimates = eventually(lambda: panel.estimates["jobs"])
        at, starts, basis = estimates[0]
        assert 0 < at < len(jobs + more)
        assert starts > 0
        assert "of this session" in panel.estimates["bases"][basis]
        eventually(lambda: list(panel.states) == [COMPLETED | 0x80, 8, 0])
        assert panel.estimates["jobs"] == []
        for waited, ran, stages in zip(
            *(page_of(panel)[name] for name in ("waited", "ran", "stages")), strict=True
        ):
            preparing, on_device, post_processing = stages
            assert waited <= preparing <= on_device <= post_processing <= waited + ran + 1
        usage = panel.head["usage"]
        assert usage["on_device"] > 0
        assert sum(usage.values()) == pytest.approx(panel.head["details"]["usage_time"], abs=0.1)
        assert panel.head["policy"] in {"dedicated", "shared"}
        session.cancel()


def test_a_running_job_shows_its_stage(slow_runtime: Path, wire: Wire) -> None:
    del slow_runtime, wire
    session = Session(backend="fake_vigo")
    panel = shown(session)
    job = Sampler(mode=session).run([circuit()])
    eventually(lambda: panel.states and panel.states[0] & 0x0F == 1 and panel.states[0] >> 4)
    job.cancel()
    session.cancel()


def test_a_clock_that_is_moved_by_hand_is_followed(
    tmp_path: Path, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    del wire
    with running(tmp_path, "--clock", "virtual") as folder:
        use(folder, monkeypatch)
        session = Session(backend="fake_manila", max_time=600)
        Sampler(mode=session).run([circuit()], shots=10).result()
        panel = shown(session)
        eventually(lambda: panel.head["countdowns"])
        assert panel.beat["rate"] == 0
        before = panel.beat["now"]
        found = Discovery.read(folder)
        assert found is not None
        requests.post(
            f"{found.url}/api/v1/qsession/clock",
            json={"advance_seconds": 7},
            headers={"Authorization": f"Bearer {found.token}"},
            timeout=10,
        ).raise_for_status()
        # No session changes, and still the panel follows the runtime's clock.
        eventually(lambda: panel.beat["now"] == before + 7000)
        click(panel, {"do": "advance", "seconds": 60})
        eventually(lambda: panel.beat["now"] == before + 67_000)
        click(panel, {"do": "advance", "seconds": -1})
        eventually(lambda: panel.notice["level"] == "error")
        assert panel.beat["now"] == before + 67_000
        session.cancel()
