"""Jobs: their status, waiting, results and ends."""

from __future__ import annotations

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
    NotFoundError,
    QiskitRuntimeService,
    Sampler,
)
from qsession_widget.client.default_service import default_service
from qsession_widget.client.jobs.job import Estimate
from tests.client.circuits import bell
from tests.client.scripted_jobs import Service, job_json, job_of
from tests.client.spy import requests_seen
from tests.client.throwaway import serving
from tests.conftest import eventually

if TYPE_CHECKING:
    from qsession_widget import RuntimeJob


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
def test_a_final_job_is_not_requested_again(monkeypatch: pytest.MonkeyPatch) -> None:
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
def test_a_job_is_found_by_its_id() -> None:
    job = Sampler("fake_manila").run(bell(), shots=10)
    again = QiskitRuntimeService().job(job.job_id())
    assert again.result()[0].data.cr == job.result()[0].data.cr
    with pytest.raises(NotFoundError, match="unknown"):
        QiskitRuntimeService().job("unknown")


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
    assert job.cancel() is True, "cancelling again is no error"
    with pytest.raises(JobCancelledError, match=job.job_id()) as caught:
        job.result()
    assert isinstance(caught.value, RuntimeError)


def test_a_running_job_is_cancelled(running_job: RuntimeJob) -> None:
    assert running_job.cancel() is True
    with pytest.raises(JobCancelledError):
        running_job.result(timeout=60)
    assert running_job.cancelled()


@pytest.mark.usefixtures("runtime")
def test_a_final_job_cannot_be_cancelled() -> None:
    job = Sampler("fake_manila").run(bell(), shots=10)
    job.result()
    with pytest.raises(ConflictError, match=f"{job.job_id()} cannot be cancelled: it is DONE"):
        job.cancel()


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
    assert job.result()[0].data.cr.num_shots == 7, "this object keeps the result"
    again = QiskitRuntimeService().job(job.job_id())
    assert again.inputs == {}
    assert again.result() is None


@pytest.mark.usefixtures("runtime")
def test_unknown_values_are_none() -> None:
    job = Sampler("fake_manila").run(bell(), shots=1)
    job.wait_for_final_state()
    assert (job.sub_status, job.queue_position, job.estimate) == (None, None, None)
    for state in ("Queued", "Running"):
        with serving(Service(job_json(state)).app) as root:
            at_ibm = job_of(root)
            unknown = (at_ibm.sub_status, at_ibm.queue_position, at_ibm.estimate)
            assert unknown == (None, None, None)


def test_known_values_are_current() -> None:
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


# Against other servers


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
def test_final_states_at_ibm(last: dict[str, Any], kind: type[Exception], said: str) -> None:
    with (
        serving(Service(job_json("Running"), last).app) as root,
        pytest.raises(kind, match=said),
    ):
        job_of(root).result()


def test_the_traceback_of_a_job_without_a_reason() -> None:
    results = PlainTextResponse("noise\nTraceback: one\nTraceback: two")
    with serving(Service(job_json("Failed"), results=results).app) as root:
        assert job_of(root).error_message() == "Traceback: two"


@pytest.mark.usefixtures("runtime")
def test_a_refused_cancellation_names_the_final_state() -> None:
    """Also at the moment in which the job ends."""
    sampler = Sampler("aer_simulator")
    for _ in range(30):
        job = sampler.run(bell(), shots=1)
        try:
            assert job.cancel() is True
        except ConflictError as error:
            assert str(error).endswith("cannot be cancelled: it is DONE")  # noqa: PT017 - there may be no error
        assert job.in_final_state() or job.status() == "CANCELLED"


@pytest.mark.usefixtures("pauses")
@pytest.mark.parametrize(("last", "said"), [("Completed", "DONE"), ("Running", "RUNNING")])
def test_a_refusal_that_contradicts_the_status_is_checked(last: str, said: str) -> None:
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


@pytest.mark.parametrize("answer", [Response(status_code=204), Response("")])
def test_a_removed_result_is_none(answer: Response) -> None:
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
def test_a_custom_decoder(decoder: Any) -> None:
    with serving(Service(job_json("Completed"), results=PlainTextResponse('"a"')).app) as root:
        job = job_of(root)
        assert job.result(decoder=decoder) == '"A"'
        assert job.result() == "a"
