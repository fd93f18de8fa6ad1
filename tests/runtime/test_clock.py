"""The runtime's time moves forward, whatever the machine's clock is set to."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from qsession_widget.cli.main import main
from qsession_widget.local import process
from qsession_widget.runtime import clock as clocks
from qsession_widget.runtime.clock import FastClock, VirtualClock, WallClock
from tests.conftest import eventually, running
from tests.runtime.server import reached

if TYPE_CHECKING:
    from pathlib import Path

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


class Machine:
    def __init__(self) -> None:
        self.time = NOON
        self.elapsed = 0.0

    def passes(self, seconds: float, *, set_by: float = 0.0) -> None:
        self.elapsed += seconds
        self.time += timedelta(seconds=seconds + set_by)


def test_the_clock_follows_the_machines_forwards() -> None:
    machine = Machine()
    clock = WallClock(lambda: machine.time, lambda: machine.elapsed)
    assert clock.now() == NOON
    machine.passes(5)
    assert clock.now() == NOON + timedelta(seconds=5)
    machine.passes(1, set_by=3600)
    assert clock.now() == NOON + timedelta(seconds=3606)


def test_the_clock_continues_when_the_machines_is_set_back() -> None:
    machine = Machine()
    clock = WallClock(lambda: machine.time, lambda: machine.elapsed)
    machine.passes(10, set_by=-3600)
    assert clock.now() == NOON + timedelta(seconds=10)
    machine.passes(60)
    assert clock.now() == NOON + timedelta(seconds=70), "timers that run need no second hour"
    machine.passes(0, set_by=3600)
    assert clock.now() == NOON + timedelta(seconds=70), "corrected again: no offset is left"


def test_the_real_clock_is_utc_and_now() -> None:
    before = datetime.now(UTC)
    assert before <= WallClock().now() <= datetime.now(UTC)


def test_the_clock_continues_from_the_store_when_the_machines_was_set_back() -> None:
    machine = Machine()
    clock = WallClock(lambda: machine.time, lambda: machine.elapsed)
    clock.go_on_from(NOON - timedelta(days=1))
    assert clock.now() == NOON, "the store's time, as intended"
    newest = NOON + timedelta(hours=1)
    clock.go_on_from(newest)
    assert clock.now() == newest
    machine.passes(60)
    assert clock.now() == newest + timedelta(seconds=60), "timers that run need no second hour"
    machine.passes(0, set_by=7200)
    assert clock.now() == machine.time, "once the machine is ahead again, it is followed"


def test_a_fast_clock_runs_at_its_rate() -> None:
    machine = Machine()
    clock = FastClock(60, lambda: machine.time, lambda: machine.elapsed)
    assert (clock.kind, clock.rate, clock.now()) == ("60x", 60, NOON)
    machine.passes(2, set_by=-3600)
    assert clock.now() == NOON + timedelta(minutes=2), "whatever the machine's clock is set to"
    clock.go_on_from(NOON)
    assert clock.now() == NOON + timedelta(minutes=2)
    clock.go_on_from(NOON + timedelta(hours=5))
    machine.passes(1)
    assert clock.now() == NOON + timedelta(hours=5, minutes=1)


def test_a_virtual_clock_stands_still_until_advanced() -> None:
    clock = VirtualClock(NOON)
    assert (clock.rate, clock.now()) == (0, NOON)
    clock.advance_to(NOON + timedelta(hours=8))
    assert clock.now() == NOON + timedelta(hours=8)
    with pytest.raises(ValueError, match="cannot go back"):
        clock.advance_to(NOON)
    clock.go_on_from(NOON + timedelta(hours=1))
    assert clock.now() == NOON + timedelta(hours=1), "the store's own time is better"


def test_clocks_by_name() -> None:
    for kind, rate in (("real", 1), ("60x", 60), ("0.5x", 0.5), ("virtual", 0)):
        made = clocks.make(kind)
        assert (made.kind, made.rate) == (kind, rate)
    for kind in ("", "x", "0x", "-1x", "60", "1e3x", "100000x", "Real", "٣x"):
        with pytest.raises(ValueError, match="such as '60x'"):
            clocks.make(kind)


def test_a_real_clock_that_is_ahead_returns_when_nothing_is_unfinished(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Releases that had one store for all clocks left it ahead after a lesson."""
    monkeypatch.setenv("QSESSION_HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")

    def ahead() -> timedelta:
        found = process.status(folder=tmp_path)
        assert found is not None
        return datetime.fromisoformat(found["now"]) - datetime.now(UTC)

    with running(tmp_path, "--clock", "virtual"):
        session = reached(tmp_path).open()
        assert main(["clock", "advance", "10m"]) == 0
    shutil.copy(tmp_path / "clock-virtual" / "runtime.db", tmp_path)
    with running(tmp_path):
        # The session goes on in its own time.
        assert ahead() > timedelta(minutes=9)
        capsys.readouterr()
        assert main(["status"]) == 0
        assert "ahead of this machine's" in capsys.readouterr().out
        server = reached(tmp_path)
        server.ask("DELETE", f"/sessions/{session}/close")
        eventually(lambda: ahead() < timedelta(minutes=1), "the real time")
        assert main(["status"]) == 0
        assert "ahead of this machine's" not in capsys.readouterr().out
        assert server.ended(server.submit())["state"]["status"] == "Completed"
    with running(tmp_path, "--clock", "virtual"):
        assert main(["clock", "advance", "10m"]) == 0
        assert ahead() > timedelta(minutes=9)
    with running(tmp_path):
        assert ahead() < timedelta(minutes=1)


def test_each_clock_has_a_store_of_its_own(tmp_path: Path) -> None:
    """A lesson neither moves the ordinary runtime's time nor leaves sessions there."""
    with running(tmp_path):
        ordinary = reached(tmp_path).open()
    with running(tmp_path, "--clock", "virtual"):
        server = reached(tmp_path)
        assert server.json("/workloads")["workloads"] == []
        lesson = server.open()
        server.ask("POST", "/qsession/clock", json={"advance_seconds": 36_000})
    assert (tmp_path / "clock-virtual").stat().st_mode & 0o777 == 0o700
    with running(tmp_path):
        server = reached(tmp_path)
        assert [each["id"] for each in server.json("/workloads")["workloads"]] == [ordinary]
        now = datetime.fromisoformat(server.json("/qsession")["now"])
        assert abs(now - datetime.now(UTC)) < timedelta(minutes=1)
        # Nor is its session closed since the lesson's ten hours have passed.
        assert server.json(f"/sessions/{ordinary}")["state"] == "open"
    with running(tmp_path, "--clock", "virtual"):
        found = reached(tmp_path).json(f"/sessions/{lesson}")
        assert found["state"] == "closed"


@pytest.mark.parametrize("lanes", ["1", "3"])
def test_a_fast_clock_does_not_multiply_the_machines_own_preparation(
    tmp_path: Path, lanes: str
) -> None:
    """A session paid sixty times for what decoding, transpiling and a first import take here."""
    rate = 600
    lengths = ("--interactive-seconds", "28800", "--lanes", lanes)
    arguments = ("--clock", f"{rate}x", "--workers", "1", *lengths)
    with running(tmp_path, *arguments):
        server = reached(tmp_path)
        session_id = server.open()
        job = server.ended(server.submit(session_id=session_id))
        found = server.json(f"/sessions/{session_id}")
        server.ask("DELETE", f"/sessions/{session_id}/close")
        closed = server.json(f"/sessions/{session_id}")
    stages = job["qsession"]["stages"]
    begun, on_device, ended = (
        datetime.fromisoformat(text)
        for text in (
            stages["preparing_at"],
            stages["on_device_at"],
            job["qsession"]["finished_at"],
        )
    )
    preparing = (on_device - begun).total_seconds()
    parts = found["qsession"]["usage"]
    assert parts["preparing_seconds"] == pytest.approx(preparing / rate, abs=1e-3)
    # All that it was active is charged but what the clock made of the preparation.
    active = (
        datetime.fromisoformat(closed["closed_at"]) - datetime.fromisoformat(closed["activated_at"])
    ).total_seconds()
    free = preparing - preparing / rate
    assert closed["elapsed_time"] == pytest.approx(active - free, abs=1e-3)
    parts = closed["qsession"]["usage"]
    busy = (ended - begun).total_seconds() - free
    # The runtime reads its clock for the job and for the session: 1 s there is less than 2 ms.
    assert parts["idle_seconds"] == pytest.approx(closed["elapsed_time"] - busy, abs=1.0)
    assert free > 2.0
    assert parts["preparing_seconds"] < closed["elapsed_time"]
