"""Waiting for a job: held requests, pauses, outages, interrupts, asyncio."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from typing import TYPE_CHECKING, Any

import pytest

from qsession_widget import (
    JobCancelledError,
    JobFailedError,
    JobTimeoutError,
    QiskitRuntimeService,
    Sampler,
    ServiceUnavailableError,
    Session,
)
from qsession_widget.client.jobs import async_wait as waiting_places
from qsession_widget.client.jobs import base_job
from qsession_widget.transport.http import Transport
from tests.client.circuits import bell
from tests.client.scripted_jobs import Outage, Service, job_json, job_of
from tests.client.spy import requests_seen
from tests.client.throwaway import serving
from tests.conftest import eventually

if TYPE_CHECKING:
    from qsession_widget import RuntimeJob


def test_a_timeout_ends_the_waiting_and_not_the_job(running_job: RuntimeJob) -> None:
    for timeout in (0, 0.2):
        with pytest.raises(JobTimeoutError, match=f"after {timeout} s; it goes on") as caught:
            running_job.result(timeout=timeout)
        assert isinstance(caught.value, TimeoutError)
    assert running_job.status() == "RUNNING"


def test_waiting_is_a_few_held_requests(
    running_job: RuntimeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    paused: list[float] = []
    pause = Transport.pause

    def noted(transport: Transport, seconds: float) -> None:
        paused.append(seconds)
        pause(transport, seconds)

    monkeypatch.setattr(Transport, "pause", noted)
    seen = requests_seen(monkeypatch)
    with pytest.raises(JobTimeoutError):
        running_job.wait_for_final_state(timeout=2)
    assert len(seen) <= 3
    assert not any(paused), "no pauses between long polls"


def test_a_held_request_ends_with_the_job(running_job: RuntimeJob) -> None:
    ended = threading.Event()

    def wait() -> None:
        running_job.wait_for_final_state()
        ended.set()

    thread = threading.Thread(target=wait)
    thread.start()
    QiskitRuntimeService().job(running_job.job_id()).cancel()
    assert ended.wait(20), "sooner than the request would time out"
    thread.join()


def interrupting(monkeypatch: pytest.MonkeyPatch) -> threading.Thread:
    """Press Ctrl-C as soon as this thread waits."""
    seen = requests_seen(monkeypatch)

    def interrupt() -> None:
        eventually(lambda: any(rest.get("held_seconds") for _, _, rest in seen), "a held request")
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    return thread


def test_an_interrupt_detaches(running_job: RuntimeJob, monkeypatch: pytest.MonkeyPatch) -> None:
    thread = interrupting(monkeypatch)
    with pytest.raises(KeyboardInterrupt) as caught:
        running_job.result()
    thread.join()
    (note,) = caught.value.__notes__
    assert f"service.job({running_job.job_id()!r}) returns it" in note
    assert running_job.status() == "RUNNING"


def test_an_interrupt_in_a_session_leaves_both(
    slow_runtime: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert slow_runtime
    session = Session(backend="fake_torino")
    job = Sampler(session).run(bell())
    eventually(job.running)
    thread = interrupting(monkeypatch)
    with pytest.raises(KeyboardInterrupt), session:
        job.result()
    thread.join()
    assert job.status() == "RUNNING"
    assert session.status() == "In progress, accepting new jobs"
    job.cancel()
    session.cancel()


async def awaited(*jobs: RuntimeJob) -> list[Any]:
    return await asyncio.gather(*jobs)


@pytest.mark.usefixtures("runtime")
async def test_jobs_can_be_awaited() -> None:
    jobs = [Sampler("aer_simulator").run(bell(), shots=shots) for shots in (10, 20)]
    results = await awaited(*jobs)
    assert [result[0].data.cr.num_shots for result in results] == [10, 20]


async def test_an_awaited_job_is_held_as_result_is(
    running_job: RuntimeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that the end is noticed at once, and not at the next poll."""
    asked = requests_seen(monkeypatch)

    def held() -> bool:
        return any(path.endswith("outcome") and more["held_seconds"] > 1 for _, path, more in asked)

    waiting = asyncio.ensure_future(awaited(running_job))
    await asyncio.to_thread(eventually, held)
    running_job.cancel()
    with pytest.raises(JobCancelledError):
        await waiting
    # The waiting is one held request; everything else is requested once.
    assert len(asked) <= 6
    eventually(lambda: waiting_places.held._taken == 0)


@pytest.mark.usefixtures("slow_runtime")
async def test_more_jobs_are_awaited_than_requests_are_held(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(waiting_places.held, "_most", 2)
    jobs = [Sampler("fake_manila").run(bell()) for _ in range(5)]
    waiting = asyncio.gather(*(awaited(job) for job in jobs), return_exceptions=True)
    await asyncio.sleep(0)
    for job in jobs:
        await asyncio.to_thread(job.cancel)
    assert [type(each) for each in await waiting] == [JobCancelledError] * 5
    eventually(lambda: waiting_places.held._taken == 0)


async def test_cancelling_an_await_leaves_the_job(running_job: RuntimeJob) -> None:
    waiting = asyncio.ensure_future(awaited(running_job))
    await asyncio.to_thread(running_job.status)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert running_job.status() == "RUNNING"


def test_polls_of_a_server_without_long_polling_become_rarer(
    pauses: list[float],
) -> None:
    states = [job_json("Queued")] * 10 + [job_json("Running")] * 30 + [job_json("Completed")]
    script = Service(*states)
    with serving(script.app) as root:
        assert job_of(root).result() == [1, 2]
    assert len(script.asked) == len(states)
    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[-1]) == (0.1, 2.0)


@pytest.mark.usefixtures("pauses")
def test_an_unknown_state_is_waited_for_as_long_as_was_asked() -> None:
    with serving(Service(job_json("Validating")).app) as root:
        job = job_of(root)
        assert job.status() == "VALIDATING"
        with pytest.raises(JobTimeoutError):
            job.result(timeout=0.2)


@pytest.mark.usefixtures("pauses")
@pytest.mark.parametrize("wait", ["result", "await"])
async def test_an_unknown_state_ends_the_waiting_where_the_job_is_finished(wait: str) -> None:
    finished = {"timestamps": {"finished": "2026-09-22T11:26:51Z"}}
    script = Service(job_json("Running"), job_json("Evaporated"), metrics=finished)
    with serving(script.app) as root:
        job = job_of(root)
        with pytest.raises(JobFailedError, match="ended as EVAPORATED"):
            job.result() if wait == "result" else await job
        assert job.in_final_state()


@pytest.mark.usefixtures("pauses")
@pytest.mark.parametrize("wait", ["result", "await"])
async def test_waiting_goes_on_through_an_outage(
    wait: str, caplog: pytest.LogCaptureFixture
) -> None:
    with serving(Outage(17).app) as root:
        job = job_of(root)
        found = job.result() if wait == "result" else await job
        assert found == [1, 2]
    assert "goes on, and is asked for again" in caplog.text


@pytest.mark.usefixtures("pauses")
@pytest.mark.parametrize("wait", ["result", "await", "timeout"])
async def test_a_lasting_outage_is_reported(wait: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(Outage(10**6).app) as root:
        job = job_of(root)
        if wait != "timeout":
            monkeypatch.setattr(base_job, "_LONGEST_OUTAGE_SECONDS", 0.2)
        with pytest.raises(ServiceUnavailableError, match="503") as caught:
            await job if wait == "await" else job.result(timeout=0.2 if wait == "timeout" else None)
    (note,) = caught.value.__notes__
    assert "service.job('j') returns it" in note


def test_closing_the_service_ends_the_waiting() -> None:
    with serving(Outage(10**6).app) as root:
        job = job_of(root)
        closing = threading.Timer(0.2, job.service.close)
        closing.start()
        with pytest.raises(ServiceUnavailableError):
            job.result()
        closing.join()
