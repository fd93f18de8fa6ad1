"""Sessions under a virtual clock, over HTTP: hours pass without sleeping."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import eventually, running
from tests.runtime.server import Server, problem, reached

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

EIGHT_HOURS = 28_800


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


def advance(server: Server, seconds: float) -> datetime:
    answer = server.ask("POST", "/qsession/clock", json={"advance_seconds": seconds})
    assert answer.status_code == 200, answer.text
    return instant(answer.json()["now"])


def session(server: Server, session_id: str) -> Any:
    return server.json(f"/sessions/{session_id}")


def history(server: Server, session_id: str) -> list[tuple[str, float]]:
    """Return the states of a session, each with the seconds since it was opened."""
    found = session(server, session_id)["timestamps"]
    opened = instant(found[0]["timestamp"])
    return [
        (each["status"], (instant(each["timestamp"]) - opened).total_seconds()) for each in found
    ]


@pytest.fixture(scope="module")
def virtual(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    arguments = ("--clock", "virtual", "--workers", "2", "--copies", "fake_manila=8")
    with running(tmp_path_factory.mktemp("virtual"), *arguments) as folder:
        yield reached(folder)


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Yield a runtime with a virtual clock whose jobs take a hundred seconds."""
    arguments = ("--clock", "virtual", "--workers", "2", "--min-job-seconds", "100")
    with running(tmp_path_factory.mktemp("lasting"), *arguments) as folder:
        yield reached(folder)


# -- the clock -----------------------------------------------------------------------------


def test_a_virtual_clock_stands_still_until_it_is_advanced(virtual: Server) -> None:
    before = virtual.json("/qsession/clock")
    assert (before["kind"], before["rate"]) == ("virtual", 0)
    assert virtual.json("/qsession/clock") == before
    assert advance(virtual, 0.5) == instant(before["now"]) + timedelta(seconds=0.5)
    found = virtual.json("/qsession")
    assert (found["rate"], instant(found["now"])) == (0, advance(virtual, 1) - timedelta(seconds=1))


@pytest.mark.parametrize("seconds", [0, -1, 1e12, True, "8h", None, []])
def test_an_invalid_time_does_not_advance_the_clock(virtual: Server, seconds: Any) -> None:
    before = virtual.json("/qsession/clock")
    answer = virtual.ask("POST", "/qsession/clock", json={"advance_seconds": seconds})
    assert "advance_seconds" in problem(answer, 400)
    assert virtual.json("/qsession/clock") == before


def test_only_the_administrator_advances_the_clock(virtual: Server) -> None:
    added = virtual.ask("POST", "/qsession/users", json={"name": "guest"})
    guest = replace(virtual, token=added.json()["token"])
    try:
        before = guest.json("/qsession/clock")
        answer = guest.ask("POST", "/qsession/clock", json={"advance_seconds": 60})
        assert "administrator" in problem(answer, 403)
        assert guest.json("/qsession/clock") == before
        assert virtual.json("/qsession")["policy"] == "shared", "once there are two users"
    finally:
        virtual.ask("DELETE", "/qsession/users/guest")
    assert virtual.json("/qsession")["policy"] == "dedicated"


# -- sessions ------------------------------------------------------------------------------


def test_eight_hours_pass_at_once(virtual: Server) -> None:
    session_id = virtual.open(max_ttl=EIGHT_HOURS)
    advance(virtual, 1000)
    virtual.ended(virtual.submit(session_id=session_id))
    advance(virtual, 59.999)
    assert session(virtual, session_id)["state"] == "active"
    advance(virtual, 0.001)
    assert session(virtual, session_id)["state"] == "inactive"
    advance(virtual, 3600)
    virtual.ended(virtual.submit(session_id=session_id))
    advance(virtual, EIGHT_HOURS)
    assert history(virtual, session_id) == [
        ("open", 0),
        ("active", 1000),
        ("inactive", 1060),
        ("active", 4660),
        ("inactive", 4720),
        ("closed", 1000 + EIGHT_HOURS),
    ]
    found = session(virtual, session_id)
    assert found["elapsed_time"] == 120
    assert found["qsession"]["usage"] == {
        "on_device_seconds": 0,
        "preparing_seconds": 0,
        "idle_seconds": 120,
    }
    assert found["qsession"]["policy"] == "dedicated"


def test_a_session_without_a_job_closes_after_half_an_hour(virtual: Server) -> None:
    session_id = virtual.open()
    advance(virtual, 24 * 3600)
    assert history(virtual, session_id) == [("open", 0), ("closed", 1800)]


def test_a_job_that_starts_during_an_advance_runs_before_time_continues(virtual: Server) -> None:
    """Its session had to wait until another one released the device."""
    device = "fake_manila_2"
    first, second = (virtual.open(backend=device) for _ in range(2))
    virtual.ended(virtual.submit(session_id=first, backend=device))
    waiting = virtual.submit(session_id=second, backend=device)
    assert virtual.status(waiting) == "Queued"
    advance(virtual, EIGHT_HOURS)
    assert virtual.status(waiting) == "Completed"
    assert history(virtual, second)[:3] == [("open", 0), ("active", 60), ("inactive", 120)]


def test_a_watch_reports_the_new_time(virtual: Server) -> None:
    session_id = virtual.open(backend="fake_manila_3")
    known = virtual.json("/qsession/watch", session_id=session_id)
    heard: list[Any] = []

    def watch() -> None:
        query = {"session_id": session_id, "since": known["revision"]}
        heard.append(virtual.get("/qsession/watch", params=query, headers={"Prefer": "wait=30"}))

    watching = Thread(target=watch)
    watching.start()
    now = advance(virtual, 10)
    watching.join()
    (answer,) = heard
    assert answer.status_code == 200
    assert instant(answer.json()["now"]) == now
    assert answer.json()["session"]["qsession"]["rate"] == 0


# -- jobs ----------------------------------------------------------------------------------


def test_jobs_last_as_long_as_they_are_told_to_in_virtual_time(lasting: Server) -> None:
    session_id = lasting.open(mode="batch")
    first, second = (lasting.submit(session_id=session_id) for _ in range(2))
    stopped = lasting.submit(cost=30, backend="fake_torino")
    start = instant(lasting.json("/qsession/clock")["now"])
    eventually(lambda: lasting.job(first)["qsession"]["sub_status"] == "on_device", "its stage")
    advance(lasting, 99)
    assert lasting.job(first)["qsession"]["sub_status"] == "on_device"
    found = lasting.job(second)["qsession"]
    assert (found["sub_status"], found["queue_position"], found["estimate"]) == (None, 1, None)
    advance(lasting, 151)
    seconds = {
        name: (instant(value) - start).total_seconds()
        for name, value in lasting.job(second)["qsession"]["stages"].items()
    }
    assert seconds == {"preparing_at": 100, "on_device_at": 100, "post_processing_at": 200}
    found = lasting.job(stopped)["state"]
    assert (found["status"], found["reason_code"]) == ("Cancelled", 1305)
    ended = lasting.json(f"/jobs/{stopped}/metrics")
    assert instant(ended["timestamps"]["finished"]) == start + timedelta(seconds=30)
    assert ended["usage"]["qpu_charge_time_seconds"] == 30
    assert session(lasting, session_id)["elapsed_time"] == 200
    assert history(lasting, session_id) == [("open", 0), ("active", 0)]
    advance(lasting, 60)
    assert history(lasting, session_id)[-1] == ("inactive", 260)


def test_an_estimate_rests_on_the_jobs_that_ran(lasting: Server) -> None:
    device = "fake_lima"
    for _ in range(3):
        job_id = lasting.submit(backend=device)
        advance(lasting, 100)
        assert lasting.status(job_id) == "Completed"
    lasting.submit(backend=device)
    waiting = lasting.submit(backend=device)
    advance(lasting, 25)
    assert lasting.job(waiting)["qsession"]["estimate"] == {
        "start_seconds": 75,
        "basis": "3 jobs on fake_lima took 100 s each (median)",
    }
    advance(lasting, 200)
    assert lasting.job(waiting)["qsession"]["estimate"] is None


# -- repeatability ------------------------------------------------------------------------


def lesson(server: Server) -> dict[str, Any]:
    """Play a history of all kinds of events, and return everything visible of it."""
    device = "fake_manila"
    one, two = server.open(max_ttl=3600), server.open(mode="batch", max_ttl=7200)
    jobs = [server.submit(session_id=one), server.submit(session_id=one)]
    advance(server, 40)
    jobs += [server.submit(), server.submit(session_id=two), server.submit(session_id=two)]
    advance(server, 160)
    server.ask("POST", f"/jobs/{jobs[4]}/cancel")
    advance(server, 600)
    jobs.append(server.submit(session_id=one))
    server.ask("PATCH", f"/sessions/{two}", json={"accepting_jobs": False})
    advance(server, 4 * 3600)
    opened = instant(session(server, one)["timestamps"][0]["timestamp"])

    def since(text: str | None) -> float | None:
        return None if text is None else (instant(text) - opened).total_seconds()

    told = []
    for job_id in jobs:
        found = server.job(job_id)
        times = server.json(f"/jobs/{job_id}/metrics")["timestamps"]
        stages = found["qsession"]["stages"]
        told.append(
            (
                found["status"],
                {name: since(when) for name, when in {**times, **stages}.items()},
                found["usage"],
            )
        )
    sessions = [
        (
            history(server, each),
            session(server, each)["state_reason"],
            session(server, each)["elapsed_time"],
            session(server, each)["qsession"]["usage"],
        )
        for each in (one, two)
    ]
    return {"device": device, "jobs": told, "sessions": sessions}


def test_the_same_history_gives_the_same_transitions_twice(tmp_path: Path) -> None:
    arguments = ("--clock", "virtual", "--workers", "2", "--min-job-seconds", "30")
    told = []
    for name in ("once", "again"):
        with running(tmp_path / name, *arguments) as folder:
            told.append(lesson(reached(folder)))
    assert told[0] == told[1]
    assert {each[0] for each in told[0]["jobs"]} == {"Completed", "Cancelled"}
    assert [each[0][-1][0] for each in told[0]["sessions"]] == ["closed", "closed"]


# -- across a downtime ---------------------------------------------------------------------


def test_a_virtual_clock_continues_after_a_restart(tmp_path: Path) -> None:
    with running(tmp_path, "--clock", "virtual", "--workers", "1") as folder:
        server = reached(folder)
        session_id = server.open()
        server.ended(server.submit(session_id=session_id))
        now = advance(server, 50)
    with running(tmp_path, "--clock", "virtual", "--workers", "1") as folder:
        server = reached(folder)
        assert instant(server.json("/qsession/clock")["now"]) == now
        assert session(server, session_id)["state"] == "active"
        advance(server, 10)
        assert history(server, session_id)[-1] == ("inactive", 60)
    with running(tmp_path, "--workers", "1") as folder:
        server = reached(folder)
        found = server.json("/qsession/clock")
        assert (found["kind"], found["rate"]) == ("real", 1)
        said = problem(server.ask("POST", "/qsession/clock", json={"advance_seconds": 1}), 409)
        assert "'real'" in said
        assert "--clock virtual" in said


def test_a_fast_clock_gets_a_session_through_its_minute_in_a_second(tmp_path: Path) -> None:
    arguments = ("--clock", "60x", "--workers", "1", "--policy", "shared", "--lanes", "2")
    with running(tmp_path, *arguments) as folder:
        server = reached(folder)
        assert server.json("/qsession/clock")["rate"] == 60
        session_id = server.open()
        server.ended(server.submit(session_id=session_id))
        eventually(lambda: session(server, session_id)["state"] == "inactive", "the timeout")
        found = session(server, session_id)
        idle = instant(found["last_job_completed"])
        assert instant(found["timestamps"][-1]["timestamp"]) == idle + timedelta(seconds=60)
        assert (found["qsession"]["rate"], found["qsession"]["policy"]) == (60, "shared")
