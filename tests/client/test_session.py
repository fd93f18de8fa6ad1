"""Sessions against a real runtime."""

from __future__ import annotations

import asyncio
import sys
import uuid
from typing import TYPE_CHECKING, Any

import pytest
from qiskit import QuantumCircuit
from qiskit_ibm_runtime.fake_provider import FakeManilaV2
from starlette.responses import JSONResponse, Response

from qsession_widget import (
    BackendNotFoundError,
    Batch,
    Estimator,
    InvalidInputError,
    NotFoundError,
    Options,
    PlanError,
    QiskitRuntimeService,
    RuntimeOptions,
    Sampler,
    ServiceUnavailableError,
    Session,
    SessionClosedError,
)
from qsession_widget.client import listings
from qsession_widget.client.default_service import default_service
from qsession_widget.client.session import current_session
from qsession_widget.transport.auth import BearerAuth
from qsession_widget.transport.http import Endpoint, Transport
from qsession_widget.transport.rest import RuntimeApi
from qsession_widget.wire.discovery import Discovery
from tests.client.circuits import bell
from tests.client.spy import requests_seen
from tests.client.throwaway import Script, serving
from tests.conftest import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from qsession_widget import RuntimeJob

PENDING = "Pending"
ACCEPTING = "In progress, accepting new jobs"
NOT_ACCEPTING = "In progress, not accepting new jobs"


@pytest.fixture
def busy(slow_runtime: Path) -> Iterator[tuple[Session, RuntimeJob, RuntimeJob]]:
    """Yield a session with a job that stays running, and a queued one."""
    assert Discovery.read(slow_runtime)
    session = Session(backend="fake_manila")
    sampler = Sampler(mode=session)
    first, second = sampler.run(bell()), sampler.run(bell())
    eventually(first.running, "a running job")
    yield session, first, second
    for job in session.jobs():
        if not job.in_final_state():
            job.cancel()
    session.cancel()
    eventually(lambda: session.status() == "Closed", "the end of the session")


# The documented example


@pytest.mark.usefixtures("runtime")
def test_the_documented_example(capsys: pytest.CaptureFixture[str]) -> None:
    example = """
from qiskit import QuantumCircuit, QuantumRegister, ClassicalRegister
from qsession_widget import Session, Sampler, Options

qr = QuantumRegister(2, name="qr")
cr = ClassicalRegister(2, name="cr")
qc = QuantumCircuit(qr, cr, name="bell")
qc.h(qr[0])
qc.cx(qr[0], qr[1])
qc.measure(qr, cr)

options = Options(optimization_level=3)

with Session(backend="ibmq_qasm_simulator") as session:
    sampler = Sampler(session=session, options=options)
    job = sampler.run(qc)
    print(f"Sampler job ID: {job.job_id()}")
    print(f"Sampler job result: {job.result()}")
"""
    names: dict[str, Any] = {}
    exec(example, names)  # noqa: S102 - the example as a user types it
    printed = capsys.readouterr().out
    assert f"Sampler job ID: {names['job'].job_id()}" in printed
    assert "cr=BitArray(<shape=(), num_shots=4096, num_bits=2>)" in printed
    counts = names["job"].result()[0].data.cr.get_counts()
    assert set(counts) == {"00", "11"}


# Construction


@pytest.mark.usefixtures("runtime")
def test_a_new_session() -> None:
    session = Session(backend="fake_manila", max_time="1.5h", name="lesson 3")
    assert session.service is default_service()
    assert session.backend() == "fake_manila"
    assert session.status() == PENDING
    assert session.simulator is False
    details = session.details()
    assert details is not None
    assert list(details) == [
        *("id", "backend_name", "interactive_timeout", "max_time", "active_timeout", "state"),
        *("accepting_jobs", "last_job_started", "last_job_completed", "started_at", "closed_at"),
        *("activated_at", "mode", "usage_time", "timestamps"),
    ]
    assert details["id"] == session.session_id
    assert (details["backend_name"], details["mode"]) == ("fake_manila", "dedicated")
    assert (details["state"], details["accepting_jobs"]) == ("open", True)
    assert details["max_time"] == 5400
    assert details["started_at"] is None
    assert [entry["status"] for entry in details["timestamps"]] == ["open"]
    assert repr(session) == (
        f"<Session({session.session_id!r}, backend='fake_manila', name='lesson 3')>"
    )
    session.close()


@pytest.mark.usefixtures("runtime")
def test_details_follow_a_session_to_its_end() -> None:
    with Session(backend="fake_manila") as session:
        Sampler(mode=session).run(bell(), shots=10).result()
        assert session.status() == ACCEPTING
        used = session.usage()
        assert used is not None
        assert used > 0
    assert session.status() == "Closed"
    details = session.details()
    assert details is not None
    assert details["accepting_jobs"] is False
    ends = details["closed_at"], details["last_job_completed"], details["last_job_started"]
    assert [text for text in ends if text] == sorted(map(str, ends), reverse=True)
    assert ends[2] == max(str(ends[2]), str(details["activated_at"]))
    assert details["activated_at"] == details["started_at"]
    assert details["usage_time"] is not None
    assert details["usage_time"] >= used


@pytest.mark.usefixtures("runtime")
def test_a_batch() -> None:
    with Batch(backend="fake_manila") as batch:
        Sampler().run(bell(), shots=10).result()
        details = batch.details()
        assert details is not None
        assert details["mode"] == "batch"
    assert repr(batch).startswith("<Batch(")


@pytest.mark.usefixtures("runtime")
@pytest.mark.parametrize("given", ["object", "name of a service", "official"])
def test_backends_in_every_form(given: str) -> None:
    service = QiskitRuntimeService()
    manila = service.backend("fake_manila")
    session = {
        "object": lambda: Session(backend=manila),
        "name of a service": lambda: Session(service, "fake_manila"),
        "official": lambda: Session(backend=FakeManilaV2()),
    }[given]()
    assert session.backend() == "fake_manila"
    assert session.service is (default_service() if given == "official" else service)
    session.close()


@pytest.mark.usefixtures("runtime")
def test_the_backend_is_chosen_where_none_is_named() -> None:
    with Session() as session:
        assert session.device.num_qubits == 156
        assert session.session_id


@pytest.mark.usefixtures("runtime")
@pytest.mark.parametrize(
    ("arguments", "kind", "said"),
    [
        (
            {"backend": "fake_manilla"},
            BackendNotFoundError,
            r"no backend 'fake_manilla'\. Did you mean 'fake_manila'\? There are aer_sim",
        ),
        ({"max_time": "soon"}, InvalidInputError, "max_time='soon'"),
        ({"max_time": "10m10m"}, InvalidInputError, "max_time='10m10m'"),
        ({"max_time": 0}, InvalidInputError, "max_time=0"),
        ({"max_time": 28_801}, InvalidInputError, "max_time=28801: .*1 to 28800"),
        ({"max_time": "100d"}, InvalidInputError, "max_time='100d': .*8640000.*1 to 28800"),
        ({"backend": 3}, InvalidInputError, "backend=3"),
        ({"backend": ""}, InvalidInputError, "backend=''"),
        ({"service": "fake_manila"}, InvalidInputError, "max_time='fake_manila'"),
        ({"service": 3}, InvalidInputError, r"Session\(backend=...\)"),
        ({"on_error": "panic"}, InvalidInputError, "on_error='panic'.*cancel, close, leave"),
        ({"tags": "a"}, InvalidInputError, "tags='a'"),
    ],
    ids=str,
)
def test_bad_arguments(arguments: dict[str, Any], kind: type[Exception], said: str) -> None:
    with pytest.raises(kind, match=said) as caught:
        Session(**{"backend": "fake_manila", **arguments})
    assert isinstance(caught.value, ValueError), "as Qiskit's documentation says"


@pytest.mark.usefixtures("runtime")
def test_bad_arguments_are_refused_before_any_request(monkeypatch: pytest.MonkeyPatch) -> None:
    default_service()
    seen = requests_seen(monkeypatch)
    for arguments in ({"max_time": "soon"}, {"on_error": "panic"}, {"tags": [1]}):
        with pytest.raises(InvalidInputError):
            Session(backend="fake_manila", **arguments)
    assert seen == []


CONFIGURATION = {
    "backend_name": "ibm_x",
    "backend_version": "1.0",
    "n_qubits": 2,
    "simulator": False,
}


@pytest.mark.parametrize(
    ("status", "error"),
    [
        # As IBM answers, according to several public programs: code, status, message.
        (
            400,
            {
                "code": 1352,
                "message": "You are not authorized to run a session when using the open plan.",
                "solution": "Create an instance of a different plan type or use a different "
                "execution mode.",
                "more_info": "https://cloud.ibm.com/apidocs/quantum-computing#error-handling",
            },
        ),
        (400, {"code": 1352, "message": "In other words."}),
        (403, {"code": 1, "message": "Sessions are not part of the Open Plan."}),
    ],
)
def test_a_plan_without_sessions(status: int, error: dict[str, Any]) -> None:
    script = Script(
        JSONResponse(CONFIGURATION), JSONResponse({"errors": [error]}, status_code=status)
    )
    with serving(script.app) as root, pytest.raises(PlanError, match="no sessions") as caught:
        Session(QiskitRuntimeService("local", "t", root), "ibm_x")
    assert error["message"].rstrip(".") in str(caught.value)
    assert "Batch" in str(caught.value)
    assert "QiskitRuntimeService('local')" in str(caught.value)
    assert caught.value.status_code == status


@pytest.mark.parametrize("kind", [Session, Batch])
def test_an_uncertain_session_is_reported_with_how_to_find_it(kind: type[Session]) -> None:
    script = Script(JSONResponse(CONFIGURATION), Response(status_code=504))
    with serving(script.app) as root, pytest.raises(ServiceUnavailableError) as caught:
        kind(known(root), "ibm_x")
    posts = [request for request in script.asked if request.method == "POST"]
    assert len(posts) == 1, "the request is not repeated, since it might open two"
    (note,) = caught.value.__notes__
    assert "service.sessions(pending=True)" in note
    assert f"{kind.__name__}.from_id" in note


def test_an_uncertain_job_is_reported_with_how_to_find_it() -> None:
    script = Script(Response(status_code=504))
    with serving(script.app) as root, pytest.raises(ServiceUnavailableError) as caught:
        known(root).run("sampler", {}, {"backend": "ibm_x"})
    assert len(script.asked) == 1
    (note,) = caught.value.__notes__
    assert "service.jobs()" in note


def known(root: str) -> QiskitRuntimeService:
    """Return a service without idempotency keys and features, like IBM's, that is known already."""
    service = QiskitRuntimeService("local", "t", root)
    service.api = RuntimeApi(Transport(Endpoint(root, BearerAuth("t"))))
    service._features = frozenset()
    return service


# Simulators


@pytest.mark.usefixtures("runtime")
def test_a_simulator_has_no_session(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = requests_seen(monkeypatch)
    with Session(backend="aer_simulator", max_time="1h") as session:
        jobs = [Sampler().run(bell(), shots=10), Estimator().run((bell(), "ZZ"))]
        for job in jobs:
            job.result()
            assert job.session_id is None
        nothing = [session.session_id, session.status(), session.details(), session.usage()]
        assert nothing == [None] * 4
        assert session.simulator is True
        assert session.jobs() == jobs
    assert not [path for _, path, _ in seen if "sessions" in path]
    with pytest.raises(SessionClosedError):
        Sampler(mode=session).run(bell())
    assert repr(session) == "<Session(simulator: no session, backend='aer_simulator')>"


@pytest.mark.usefixtures("slow_runtime")
def test_cancelling_on_a_simulator_cancels_queued_jobs() -> None:
    session = Session(backend="aer_simulator")
    first, second = [Sampler(mode=session).run(bell()) for _ in range(2)]
    eventually(first.running, "a running job")
    session.cancel()
    assert (first.status(), second.status()) == ("RUNNING", "CANCELLED")
    first.cancel()


# Running


@pytest.mark.usefixtures("runtime")
def test_run_takes_options_and_a_decoder() -> None:
    class Length:
        def decode(self, text: str) -> int:
            return len(text)

    with Session(backend="fake_manila", tags=["lesson"]) as session:
        job = session.run(
            "sampler",
            {"pubs": [[bell(), [], 10]]},
            RuntimeOptions(job_tags=["bell"], max_execution_time="5m", log_level="debug"),
            None,
            Length,
        )
        assert job.result() > 100
        assert job.tags == ["lesson", "bell"]
        assert job.data["cost"] == 300
        assert job.session_id == session.session_id
        with pytest.raises(InvalidInputError, match=r"'fake_torino'.*'fake_manila'"):
            session.run("sampler", {}, {"backend": "fake_torino"})
        with pytest.raises(InvalidInputError, match="did you mean job_tags"):
            session.run("sampler", {}, {"job_tag": ["a"]})
        with pytest.raises(NotFoundError, match=r"spectroscopy.*sampler, estimator"):
            session.run("spectroscopy", {})
        with pytest.raises(InvalidInputError, match="no form on the wire"):
            session.run("sampler", {"pubs": [object()]})


@pytest.mark.usefixtures("runtime")
def test_a_session_is_found_again_by_its_name() -> None:
    name = f"lesson {uuid.uuid4()}"
    with Session(backend="fake_manila", name=name, tags=("course",)) as session:
        sent = [Sampler(mode=session).run(bell(), shots=1) for _ in range(2)]
    (newest, oldest) = QiskitRuntimeService().jobs(job_tags=[name])
    assert [oldest.job_id(), newest.job_id()] == [job.job_id() for job in sent]
    assert newest.session_id == oldest.session_id == session.session_id
    assert newest.tags == ["course", name]
    with Session(backend="aer_simulator", name=name, tags=[name]) as simulated:
        assert Sampler(mode=simulated).run(bell(), shots=1).tags == [name], "each tag once"
    with pytest.raises(InvalidInputError, match="name=7"):
        Session(backend="fake_manila", name=7)  # type: ignore[arg-type] # what a user may do


def test_a_job_to_a_session_that_was_closed_elsewhere(
    busy: tuple[Session, RuntimeJob, RuntimeJob],
) -> None:
    session, _, _ = busy
    assert session.session_id
    Session.from_id(session.session_id).close()
    with pytest.raises(SessionClosedError, match=session.session_id) as caught:
        Sampler(mode=session).run(bell())
    assert isinstance(caught.value, RuntimeError)


@pytest.mark.usefixtures("runtime")
def test_jobs_are_complete_and_in_order() -> None:
    with Session(backend="fake_manila") as session:
        assert session.session_id
        other = Session.from_id(session.session_id, on_error="leave")
        sent = [Sampler(mode=mode).run(bell(), shots=1) for mode in (session, other) * 12]
        assert [job.job_id() for job in session.jobs()] == [job.job_id() for job in sent]
        sent[-1].wait_for_final_state()


def test_jobs_at_ibm_are_complete_and_in_order(
    slow_runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Page by page, while a new job shifts the others."""
    assert slow_runtime
    monkeypatch.setattr(listings, "PAGE", 2)
    service = QiskitRuntimeService()
    session = Session(service, "fake_manila")
    other = Session.from_id(str(session.session_id))
    sent = [Sampler(mode=mode).run(bell()) for mode in (session, other) * 3]
    monkeypatch.setattr(service, "_features", frozenset())
    ask = service.api.jobs
    late: list[RuntimeJob] = []

    def asked(**query: Any) -> Any:
        page = ask(**query)
        if not late:
            late.append(Sampler(mode=other).run(bell()))
        return page

    monkeypatch.setattr(service.api, "jobs", asked)
    found = [job.job_id() for job in session.jobs()]
    assert found == [job.job_id() for job in [*sent, *late]]
    for job in session.jobs():
        job.cancel()
    session.cancel()


# Ending


@pytest.mark.parametrize("end", ["close", "cancel"])
def test_a_session_unknown_to_the_service_is_closed(end: str) -> None:
    found = {"id": "s", "mode": "dedicated", "state": "active", "accepting_jobs": True}
    script = Script(JSONResponse(found), Response(status_code=404))
    with serving(script.app) as root:
        session = Session.from_id("s", QiskitRuntimeService("local", "t", root))
        for _ in range(2):
            assert getattr(session, end)() == "takes no more jobs"


def test_a_backend_that_the_service_names_later() -> None:
    unnamed = {"id": "s", "mode": "dedicated", "state": "open", "accepting_jobs": True}
    named = {**unnamed, "backend_name": "ibm_x"}
    script = Script(*map(JSONResponse, (unnamed, unnamed, unnamed, named, CONFIGURATION)))
    with serving(script.app) as root:
        session = Session.from_id("s", QiskitRuntimeService("local", "t", root))
        assert session.backend() is None
        assert repr(session) == "<Session('s', backend=None)>"
        with pytest.raises(InvalidInputError, match="not known yet"):
            _ = session.device
        assert session.backend() == "ibm_x"
        assert session.device.num_qubits == 2


def test_closing_lets_jobs_finish(busy: tuple[Session, RuntimeJob, RuntimeJob]) -> None:
    session, first, second = busy
    for _ in range(2):
        assert session.close() == "takes no more jobs; 2 unfinished ones go on"
        assert session.status() == NOT_ACCEPTING
        assert (first.status(), second.status()) == ("RUNNING", "QUEUED")
    with pytest.raises(SessionClosedError):
        Sampler(mode=session).run(bell())


def test_cancelling_a_session_cancels_queued_jobs(
    busy: tuple[Session, RuntimeJob, RuntimeJob],
) -> None:
    session, first, second = busy
    for _ in range(2):
        assert session.cancel() == "takes no more jobs; 1 unfinished one goes on"
        assert session.status() == NOT_ACCEPTING
        assert (first.status(), second.status()) == ("RUNNING", "CANCELLED")
    first.cancel()
    eventually(lambda: session.status() == "Closed")
    assert session.cancel() == session.close() == "closed: all its jobs are over"


def test_cancelling_queued_jobs_leaves_the_session_open(
    busy: tuple[Session, RuntimeJob, RuntimeJob],
) -> None:
    session, first, second = busy
    assert session.cancel_queued_jobs() == [second.job_id()]
    assert session.cancel_queued_jobs() == []
    assert (first.status(), second.status()) == ("RUNNING", "CANCELLED")
    assert session.status() == ACCEPTING
    assert Sampler(mode=session).run(bell()).queued()


def test_cancelling_queued_jobs_at_ibm(
    busy: tuple[Session, RuntimeJob, RuntimeJob], monkeypatch: pytest.MonkeyPatch
) -> None:
    session, first, second = busy
    monkeypatch.setattr(session.service, "_features", frozenset())
    seen = requests_seen(monkeypatch)
    assert session.cancel_queued_jobs() == [second.job_id()]
    assert not [path for _, path, _ in seen if "qsession" in path], "no extension is used"
    assert (first.status(), second.status()) == ("RUNNING", "CANCELLED")


# with


async def test_exceptions_in_async_blocks(busy: tuple[Session, RuntimeJob, RuntimeJob]) -> None:
    session, _, second = busy

    async def block(error: BaseException) -> None:
        async with session:
            raise error

    with pytest.raises(asyncio.CancelledError):
        await block(asyncio.CancelledError())
    assert session.status() == ACCEPTING, "a cancelled task loses nothing"
    with pytest.raises(ZeroDivisionError):
        await block(ZeroDivisionError())
    assert (session.status(), second.status()) == (NOT_ACCEPTING, "CANCELLED")


@pytest.mark.parametrize(
    ("on_error", "status", "second_status"),
    [
        ("cancel", NOT_ACCEPTING, "CANCELLED"),
        ("close", NOT_ACCEPTING, "QUEUED"),
        ("leave", ACCEPTING, "QUEUED"),
    ],
)
def test_an_exception_in_the_block(
    busy: tuple[Session, RuntimeJob, RuntimeJob], on_error: Any, status: str, second_status: str
) -> None:
    session, first, second = busy
    assert session.session_id
    again = Session.from_id(session.session_id, on_error=on_error)
    with pytest.raises(ZeroDivisionError), again:
        raise ZeroDivisionError
    assert session.status() == status
    assert (first.status(), second.status()) == ("RUNNING", second_status)
    assert current_session() is None


def test_an_exception_cancels_the_session_by_default(
    busy: tuple[Session, RuntimeJob, RuntimeJob],
) -> None:
    session, _, second = busy
    with pytest.raises(ZeroDivisionError), session:
        raise ZeroDivisionError
    assert second.status() == "CANCELLED"


@pytest.mark.parametrize("on_error", ["cancel", "close", "leave"])
def test_an_interrupt_leaves_the_session_open(
    busy: tuple[Session, RuntimeJob, RuntimeJob], on_error: Any
) -> None:
    session, _, second = busy
    assert session.session_id
    again = Session.from_id(session.session_id, on_error=on_error)
    with pytest.raises(KeyboardInterrupt) as caught, again:
        raise KeyboardInterrupt
    assert session.status() == ACCEPTING
    assert second.status() == "QUEUED"
    (note,) = caught.value.__notes__
    assert session.session_id in note
    assert "stays open" in note


@pytest.mark.usefixtures("runtime")
def test_a_failure_while_ending_does_not_hide_the_exception(
    caplog: pytest.LogCaptureFixture,
) -> None:
    service = QiskitRuntimeService()
    session = Session(service, "fake_manila")
    session.__enter__()
    service.close()
    error = ZeroDivisionError()
    session.__exit__(ZeroDivisionError, error, None)
    (note,) = error.__notes__
    assert "could not be ended" in note
    assert "was closed" in caplog.text
    assert session.session_id
    Session.from_id(session.session_id).close()


# from_id


@pytest.mark.usefixtures("runtime")
def test_from_id_creates_and_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    session = Session(backend="fake_manila", max_time=600)
    assert session.session_id
    seen = requests_seen(monkeypatch)
    again = Session.from_id(session.session_id, backend="fake_manila")
    assert {method for method, _, _ in seen} == {"GET"}
    assert again.details() == session.details()
    assert again.backend() == "fake_manila"
    assert again.key != session.key
    assert Sampler(mode=again).run(bell(), shots=1).result()
    session.close()


@pytest.mark.usefixtures("runtime")
def test_from_id_of_a_closed_session_is_for_reading() -> None:
    with Session(backend="fake_manila") as session:
        job = Sampler().run(bell(), shots=1)
        job.result()
    assert session.session_id
    again = Session.from_id(session.session_id)
    assert again.status() == "Closed"
    assert again.details() == session.details()
    assert [each.job_id() for each in again.jobs()] == [job.job_id()]
    with pytest.raises(SessionClosedError):
        Sampler(mode=again).run(bell())
    again.close()
    again.cancel()


@pytest.mark.usefixtures("runtime")
def test_from_id_checks() -> None:
    with Session(backend="fake_manila") as session, Batch(backend="fake_torino") as batch:
        assert session.session_id
        assert batch.session_id
        with pytest.raises(InvalidInputError, match=r"'dedicated'.*'batch'; use Session\.from_id"):
            Batch.from_id(session.session_id)
        with pytest.raises(InvalidInputError, match=r"'batch'.*'dedicated'; use Batch\.from_id"):
            Session.from_id(batch.session_id)
        with pytest.raises(ValueError, match=r"'fake_manila', not on 'fake_torino'"):
            Session.from_id(session.session_id, backend="fake_torino")
        assert Batch.from_id(batch.session_id).backend() == "fake_torino"
    with pytest.raises(NotFoundError, match="Session not found: unknown"):
        Session.from_id("unknown")


# Display


@pytest.mark.usefixtures("runtime")
def test_displays_as_text_without_the_widget_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "qsession_widget.panel", None)
    with Session(backend="aer_simulator") as session:
        assert session._repr_mimebundle_() == ({"text/plain": repr(session)}, {})


@pytest.mark.usefixtures("runtime")
def test_options_of_a_sampler_apply_in_a_session() -> None:
    circuit = QuantumCircuit(1)
    circuit.h(0)
    circuit.measure_all()
    with Session(backend="fake_manila") as session:
        options = Options(default_shots=50, seed=3)
        one, other = [Sampler(mode=session, options=options).run(circuit) for _ in range(2)]
        bits = one.result()[0].data.meas
        assert bits.num_shots == 50
        assert bits == other.result()[0].data.meas, "the same seed, the same shots"


def test_a_session_reports_its_cache_hits(runtime: Path) -> None:
    assert runtime
    with Session(backend="fake_manila") as session:
        assert session.cache_info() == {"hits": 0, "misses": 0, "seconds_saved": 0.0}
        sampler = Sampler(mode=session)
        for _ in range(2):
            sampler.run(bell()).result()
        found = session.cache_info()
        assert found is not None
        assert found["hits"] >= 2
        assert found["seconds_saved"] > 0
    assert Session(backend="aer_simulator").cache_info() is None
