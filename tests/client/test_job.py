"""Jobs: their status, waiting, results and ends."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from qiskit.primitives import BasePrimitiveJob
from starlette.responses import JSONResponse, PlainTextResponse, Response

from qsession_widget import (
    ConflictError,
    InvalidInputError,
    JobCancelledError,
    JobFailedError,
    JobTimeoutError,
    NotFoundError,
    QiskitRuntimeService,
    Sampler,
    ServiceUnavailableError,
    Session,
)
from qsession_widget.client import async_wait as waiting_places
from qsession_widget.client import base_job
from qsession_widget.client.job import Estimate
from qsession_widget.client.service import default_service
from qsession_widget.transport.http import Transport
from tests.client.circuits import bell
from tests.client.spy import requests_seen
from tests.client.throwaway import Script, serving
from tests.conftest import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from qsession_widget import RuntimeJob


@pytest.fixture
def running_job(slow_runtime: object) -> Iterator[RuntimeJob]:
    """Give a job that is sure to be running still."""
    assert slow_runtime
    job = Sampler("fake_manila").run(bell())
    eventually(job.running, "a running job")
    yield job
    for left in default_service().jobs(limit=None, pending=True):
        left.cancel()


# Against the runtime


@pytest.mark.usefixtures("runtime")
def test_a_job_that_is_done() -> None:
    before = datetime.now(UTC)
    job = Sampler("fake_manila").run(bell(), shots=10)
    assert isinstance(job, BasePrimitiveJob)
    job.wait_for_final_state()
    assert job.status() == "DONE"
    answers = [job.done(), job.in_final_state(), job.queued(), job.running()]
    assert answers == [True, True, False, False]
    assert (job.errored(), job.cancelled(), job.error_message()) == (False, False, None)
    assert abs(job.creation_date - before) < timedelta(minutes=5)
    assert job.creation_date.utcoffset() == timedelta(0)
    assert job.backend().name == "fake_manila"
    assert (job.program_id, job.session_id, job.tags) == ("sampler", None, [])
    assert job.queue_position is None
    assert job.metrics()["timestamps"]["finished"]
    used = job.usage()
    assert used is not None
    assert used > 0
    assert "completed" in job.logs()
    assert job.inputs["pubs"][0][0] == bell()
    assert repr(job) == f"<RuntimeJob({job.job_id()!r}, 'sampler', DONE)>"


@pytest.mark.usefixtures("runtime")
def test_what_is_over_is_not_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    job = Sampler("fake_manila").run(bell(), shots=10)
    first = job.result()
    seen = requests_seen(monkeypatch)
    assert job.result() is first
    assert job.status() == "DONE"
    job.wait_for_final_state()
    assert seen == []


@pytest.mark.usefixtures("runtime")
def test_a_result_takes_one_request_to_send_and_one_to_get(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sampler = Sampler("fake_manila")
    sampler.run(bell(), shots=10).result()
    seen = requests_seen(monkeypatch)
    job = sampler.run(bell(), shots=10)
    assert job.result()[0].data.cr.num_shots == 10
    assert [(method, path) for method, path, _ in seen] == [
        ("POST", "/jobs"),
        ("GET", f"/qsession/jobs/{job.job_id()}/outcome"),
    ]


@pytest.mark.usefixtures("runtime")
def test_a_job_is_found_again_from_elsewhere() -> None:
    job = Sampler("fake_manila").run(bell(), shots=10)
    again = QiskitRuntimeService().job(job.job_id())
    assert again.result()[0].data.cr == job.result()[0].data.cr
    with pytest.raises(NotFoundError, match="nobody"):
        QiskitRuntimeService().job("nobody")


@pytest.mark.usefixtures("runtime")
def test_a_job_that_fails() -> None:
    job = default_service().run("sampler", {"pubs": 3}, {"backend": "fake_manila"})
    with pytest.raises(JobFailedError, match=job.job_id()) as caught:
        job.result()
    message = job.error_message()
    assert message
    assert message in str(caught.value)
    assert caught.value.job_id == job.job_id()
    assert job.errored()
    assert job.status() == "ERROR"


def test_waiting_in_the_queue(running_job: RuntimeJob) -> None:
    first, second = [Sampler("fake_manila").run(bell()) for _ in range(2)]
    assert (first.status(), second.status()) == ("QUEUED", "QUEUED")
    assert (first.queue_position, second.queue_position) == (1, 2)
    first.cancel()
    assert (first.queue_position, second.queue_position) == (None, 1)
    assert second.sub_status is None
    second.cancel()
    assert running_job.queue_position is None
    eventually(lambda: running_job.sub_status == "on_device", "its time on the device")


def test_a_queued_job_is_cancelled(running_job: RuntimeJob) -> None:
    job = Sampler("fake_manila").run(bell())
    assert running_job.running()
    assert job.cancel() is True
    assert job.status() == "CANCELLED"
    assert job.cancel() is True, "cancelling again is what was asked for already"
    with pytest.raises(JobCancelledError, match=job.job_id()) as caught:
        job.result()
    assert isinstance(caught.value, RuntimeError)


def test_a_running_job_is_cancelled(running_job: RuntimeJob) -> None:
    assert running_job.cancel() is True
    with pytest.raises(JobCancelledError):
        running_job.result(timeout=60)
    assert running_job.cancelled()


@pytest.mark.usefixtures("runtime")
def test_what_is_over_cannot_be_cancelled() -> None:
    job = Sampler("fake_manila").run(bell(), shots=10)
    job.result()
    with pytest.raises(ConflictError, match=f"{job.job_id()} cannot be cancelled: it is DONE"):
        job.cancel()


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
    assert not any(paused), "no pauses where the server holds requests"


def test_a_held_request_ends_with_the_job(running_job: RuntimeJob) -> None:
    ended = threading.Event()

    def wait() -> None:
        running_job.wait_for_final_state()
        ended.set()

    thread = threading.Thread(target=wait)
    thread.start()
    QiskitRuntimeService().job(running_job.job_id()).cancel()
    assert ended.wait(20), "sooner than a held request ends by itself"
    thread.join()


def interrupting(monkeypatch: pytest.MonkeyPatch) -> threading.Thread:
    """Press Ctrl-C as soon as this thread's own waiting has begun."""
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


@pytest.mark.usefixtures("runtime")
def test_tags_are_replaced() -> None:
    job = Sampler("aer_simulator", {"environment": {"job_tags": ["old"]}}).run(bell(), shots=1)
    job.wait_for_final_state()
    assert job.tags == ["old"]
    assert job.update_tags(["new", "more"]) == ["new", "more"]
    assert QiskitRuntimeService().job(job.job_id()).tags == ["new", "more"]
    assert job.update_tags([]) == []
    with pytest.raises(InvalidInputError, match="tags='text'"):
        job.update_tags("text")


@pytest.mark.usefixtures("runtime")
def test_a_private_job_gives_its_result_once() -> None:
    job = Sampler("aer_simulator", {"environment": {"private": True}}).run(bell(), shots=7)
    assert job.result()[0].data.cr.num_shots == 7
    assert job.result()[0].data.cr.num_shots == 7, "this object keeps it"
    again = QiskitRuntimeService().job(job.job_id())
    assert again.inputs == {}
    assert again.result() is None


async def awaited(*jobs: RuntimeJob) -> list[Any]:
    return await asyncio.gather(*jobs)


@pytest.mark.usefixtures("runtime")
def test_jobs_can_be_awaited() -> None:
    jobs = [Sampler("aer_simulator").run(bell(), shots=shots) for shots in (10, 20)]
    results = asyncio.run(awaited(*jobs))
    assert [result[0].data.cr.num_shots for result in results] == [10, 20]


def test_an_awaited_job_is_held_as_result_is(
    running_job: RuntimeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that the end is heard of at once, and not at the next poll."""
    asked = requests_seen(monkeypatch)

    async def wait() -> None:
        waiting = asyncio.ensure_future(awaited(running_job))

        def held() -> bool:
            return any(
                path.endswith("outcome") and more["held_seconds"] > 1 for _, path, more in asked
            )

        await asyncio.to_thread(eventually, held)
        running_job.cancel()
        with pytest.raises(JobCancelledError):
            await waiting

    asyncio.run(wait())
    # What is asked while it waits is held; all the rest is asked for once.
    assert len(asked) <= 6
    eventually(lambda: waiting_places.held._taken == 0)


@pytest.mark.usefixtures("slow_runtime")
def test_more_jobs_are_awaited_than_requests_are_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting_places.held, "_most", 2)
    jobs = [Sampler("fake_manila").run(bell()) for _ in range(5)]

    async def wait() -> list[Any]:
        waiting = asyncio.gather(*(awaited(job) for job in jobs), return_exceptions=True)
        await asyncio.sleep(0)
        for job in jobs:
            await asyncio.to_thread(job.cancel)
        return list(await waiting)

    found = asyncio.run(wait())
    assert [type(each) for each in found] == [JobCancelledError] * 5
    eventually(lambda: waiting_places.held._taken == 0)


def test_calling_off_an_await_leaves_the_job(running_job: RuntimeJob) -> None:
    async def call_off() -> None:
        waiting = asyncio.ensure_future(awaited(running_job))
        await asyncio.to_thread(running_job.status)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(call_off())
    assert running_job.status() == "RUNNING"


@pytest.mark.usefixtures("runtime")
def test_what_the_service_does_not_know_is_none() -> None:
    job = Sampler("fake_manila").run(bell(), shots=1)
    job.wait_for_final_state()
    assert (job.sub_status, job.queue_position, job.estimate) == (None, None, None)
    for state in ("Queued", "Running"):
        with serving(Service(job_json(state)).app) as root:
            at_ibm = job_of(root)
            unknown = (at_ibm.sub_status, at_ibm.queue_position, at_ibm.estimate)
            assert unknown == (None, None, None)


def test_what_the_service_knows_is_told_as_it_is_now() -> None:
    basis = "12 jobs of this session took 0.8 s each (median)"
    estimates = [{"start_seconds": seconds, "basis": basis} for seconds in (9.6, 8.8)]
    queued = [job_json("Queued", qsession={"estimate": each}) for each in (*estimates, None)]
    running = job_json("Running", qsession={"sub_status": "on_device", "estimate": None})
    with serving(Service(queued[0], *queued, running).app) as root:
        job = job_of(root)
        assert [job.estimate for _ in range(3)] == [
            Estimate(9.6, basis),
            Estimate(8.8, basis),
            None,
        ]
        assert job.sub_status == "on_device"


# Against servers that do other things


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
    """Answers for one job: a status for each question, then the last one for ever."""

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


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Give the lengths of pauses, which take no time here."""
    noted: list[float] = []
    monkeypatch.setattr(
        Transport, "pause", lambda _, seconds: noted.append(seconds) if seconds else None
    )
    return noted


def test_a_server_that_cannot_hold_requests_is_asked_less_and_less_often(
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
@pytest.mark.parametrize(
    ("last", "kind", "said"),
    [
        (
            job_json("Cancelled", state={"reason": "Ran too long", "reason_code": 1305}),
            JobFailedError,
            "Error code 1305; Ran too long",
        ),
        (job_json("Cancelled - Ran too long"), JobFailedError, "failed"),
        (job_json("Expired", status="Failed"), JobFailedError, "failed"),
        (job_json("Expired", status="Cancelled"), JobCancelledError, "was cancelled"),
        (
            job_json(
                "Failed",
                state={"reason": "No.", "reason_code": 1517, "reason_solution": "Change it."},
            ),
            JobFailedError,
            "Error code 1517; No. Change it.",
        ),
    ],
)
def test_ends_that_ibm_knows(last: dict[str, Any], kind: type[Exception], said: str) -> None:
    with (
        serving(Service(job_json("Running"), last).app) as root,
        pytest.raises(kind, match=said),
    ):
        job_of(root).result()


def test_the_traceback_of_a_job_without_a_reason() -> None:
    results = PlainTextResponse("noise\nTraceback: one\nTraceback: two")
    with serving(Service(job_json("Failed"), results=results).app) as root:
        assert job_of(root).error_message() == "Traceback: two"


@pytest.mark.usefixtures("pauses")
def test_a_state_that_nobody_knows_is_waited_for_as_long_as_was_asked() -> None:
    with serving(Service(job_json("Validating")).app) as root:
        job = job_of(root)
        assert job.status() == "VALIDATING"
        with pytest.raises(JobTimeoutError):
            job.result(timeout=0.2)


@pytest.mark.usefixtures("pauses")
@pytest.mark.parametrize("wait", ["result", "await"])
def test_a_state_that_nobody_knows_ends_the_waiting_where_the_job_is_finished(wait: str) -> None:
    finished = {"timestamps": {"finished": "2026-09-22T11:26:51Z"}}
    script = Service(job_json("Running"), job_json("Evaporated"), metrics=finished)
    with serving(script.app) as root:
        job = job_of(root)
        with pytest.raises(JobFailedError, match="ended as EVAPORATED"):
            job.result() if wait == "result" else asyncio.run(awaited(job))
        assert job.in_final_state()


class Outage(Service):
    """Cannot be reached for so many questions, and then says that the job is done."""

    def __init__(self, questions: int) -> None:
        super().__init__(job_json("Running"), job_json("Completed"))
        self.left = questions

    async def answer(self, request: Any) -> Response:
        # The first question finds the job; the outage comes after it.
        if self.asked and self.left and not request.url.path.endswith("/qsession"):
            self.left -= 1
            return Response(status_code=503)
        return await super().answer(request)


@pytest.mark.usefixtures("runtime")
def test_a_refusal_to_cancel_names_the_end() -> None:
    """Also in the moment in which the job ends."""
    sampler = Sampler("aer_simulator")
    for _ in range(30):
        job = sampler.run(bell(), shots=1)
        try:
            assert job.cancel() is True
        except ConflictError as error:
            assert str(error).endswith("cannot be cancelled: it is DONE")  # noqa: PT017 - or none
        assert job.in_final_state() or job.status() == "CANCELLED"


@pytest.mark.usefixtures("pauses")
@pytest.mark.parametrize(("last", "said"), [("Completed", "DONE"), ("Running", "RUNNING")])
def test_a_refusal_that_the_status_contradicts_is_looked_into(last: str, said: str) -> None:
    states = [job_json("Running")] * 4

    class Late(Service):
        refused = 0

        async def answer(self, request: Any) -> Response:
            if request.method == "POST":
                self.refused += 1
                return JSONResponse({"errors": [{"message": "over", "code": 1}]}, status_code=409)
            return await super().answer(request)

    script = Late(*states, job_json(last))
    with serving(script.app) as root, pytest.raises(ConflictError, match=f"it is {said}"):
        job_of(root).cancel()
    assert 1 < script.refused < 10


@pytest.mark.usefixtures("pauses")
@pytest.mark.parametrize("wait", ["result", "await"])
def test_waiting_goes_on_through_an_outage(wait: str, caplog: pytest.LogCaptureFixture) -> None:
    with serving(Outage(17).app) as root:
        job = job_of(root)
        found = job.result() if wait == "result" else asyncio.run(awaited(job))[0]
        assert found == [1, 2]
    assert "goes on, and is asked for again" in caplog.text


@pytest.mark.usefixtures("pauses")
@pytest.mark.parametrize("limit", ["outage", "outage of an await", "timeout"])
def test_an_outage_that_does_not_end_is_told(limit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(Outage(10**6).app) as root:
        job = job_of(root)
        if limit != "timeout":
            monkeypatch.setattr(base_job, "_LONGEST_OUTAGE_SECONDS", 0.2)
        wait: dict[str, Callable[[], object]] = {
            "outage": job.result,
            "outage of an await": lambda: asyncio.run(awaited(job)),
            "timeout": lambda: job.result(timeout=0.2),
        }
        with pytest.raises(ServiceUnavailableError, match="503") as caught:
            wait[limit]()
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


@pytest.mark.parametrize("answer", [Response(status_code=204), Response("")])
def test_a_result_that_is_gone_is_none(answer: Response) -> None:
    with serving(Service(job_json("Completed"), results=answer).app) as root:
        assert job_of(root).result() is None


def test_types_that_only_ibm_has_are_decoded_by_its_package() -> None:
    from qiskit_ibm_runtime.execution_span import ExecutionSpans  # noqa: PLC0415 - slow

    text = '{"__type__": "ExecutionSpans", "__value__": {"spans": []}}'
    with serving(Service(job_json("Completed"), results=PlainTextResponse(text)).app) as root:
        assert isinstance(job_of(root).result(), ExecutionSpans)


def test_dates_of_ibm_are_read() -> None:
    with serving(Service(job_json("Completed")).app) as root:
        created = job_of(root).creation_date
    assert created == datetime(2026, 9, 22, 11, 26, 48, 248850, UTC)


class Upper:
    def decode(self, text: str) -> str:
        return text.upper()


@pytest.mark.parametrize("decoder", [Upper, Upper()])
def test_a_decoder_of_ones_own(decoder: Any) -> None:
    with serving(Service(job_json("Completed"), results=PlainTextResponse('"a"')).app) as root:
        job = job_of(root)
        assert job.result(decoder=decoder) == '"A"'
        assert job.result() == "a"
