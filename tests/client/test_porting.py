"""How programs for qiskit-ibm-runtime, of today and of 2023, use devices, sessions and jobs."""

from __future__ import annotations

import copy
import pickle
import threading
import warnings
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from qiskit import QuantumCircuit, transpile
from qiskit_ibm_runtime import QuantumProgram
from qiskit_ibm_runtime.models import BackendProperties, QasmBackendConfiguration

from qsession_widget import (
    Batch,
    Estimator,
    Executor,
    InvalidInputError,
    QiskitRuntimeService,
    Sampler,
    Session,
    UnsupportedError,
)
from qsession_widget.client.default_service import default_service
from qsession_widget.local import process
from tests.client.circuits import bell
from tests.client.spy import requests_seen

if TYPE_CHECKING:
    from pathlib import Path

    from qsession_widget.client.backends.backend import Backend

DEVICE = "fake_manila"
pytestmark = pytest.mark.usefixtures("runtime")


@pytest.fixture
def device(runtime: Path) -> Backend:
    assert runtime
    return default_service().backend(DEVICE)


# Devices: dicts that are IBM's objects


@pytest.mark.parametrize("name", [DEVICE, "fake_torino", "aer_simulator"])
def test_a_devices_records_are_the_official_clients_objects(name: str) -> None:
    ours = default_service().backend(name)
    theirs = default_service().ibm().backend(name, use_fractional_gates=None)
    configuration = ours.configuration()
    assert isinstance(configuration.official(), QasmBackendConfiguration)
    assert configuration.to_dict() == theirs.configuration().to_dict()
    assert configuration["n_qubits"] == configuration.n_qubits == ours.n_qubits
    assert ours.max_shots == configuration["max_shots"]
    assert ours.basis_gates == theirs.basis_gates
    properties, expected = ours.properties(), theirs.properties()
    if ours.simulator:
        assert properties is expected is None
        return
    assert properties is not None
    assert isinstance(properties.official(), BackendProperties)
    assert properties.to_dict() == expected.to_dict()
    assert properties.t1(0) == expected.t1(0)
    assert configuration.dt == pytest.approx(configuration["dt"] * 1e-9)
    assert properties.faulty_qubits() == expected.faulty_qubits()
    assert not set(dir(dict)).intersection(vars(configuration.official()), vars(expected))


def test_records_are_copied_and_pickled(device: Backend) -> None:
    for record in (device.configuration(), device.properties()):
        assert record is not None
        for twin in (copy.copy(record), copy.deepcopy(record), pickle.loads(pickle.dumps(record))):  # noqa: S301 - our own bytes
            assert twin == record
            assert twin.to_dict() == record.to_dict()
        with pytest.raises(AttributeError, match="nothing"):
            _ = record.nothing
    configuration = device.configuration()
    configuration["n_qubits"] = 3
    assert device.configuration()["n_qubits"] == 5
    assert default_service().backends(filters=lambda each: each.configuration().n_qubits == 5)


def test_a_devices_own_attributes(device: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    assert device.basis_gates == device.configuration()["basis_gates"]
    assert device() is device
    assert not hasattr(device, "nothing")
    with pytest.raises(AttributeError, match="neither has its configuration"):
        _ = device.nothing
    assert (device.is_mock, device.calibration_id) == (False, None)
    seen = requests_seen(monkeypatch)
    assert device.properties(refresh=True) == device.properties()
    assert device.properties(datetime=datetime(2020, 1, 1, tzinfo=UTC)) == device.properties()
    assert [path.rpartition("/")[2] for _, path, _ in seen] == ["properties", "properties"]
    assert seen[1][2]["params"]["updated_before"].startswith("2020-01-01")
    device.refresh()
    assert device.target_history().num_qubits == device.target.num_qubits
    with pytest.raises(InvalidInputError, match=r"calibration_id='x'.*service\.ibm\(\)"):
        default_service().backend(DEVICE, calibration_id="x")
    mocks = default_service().backends(include_mocks=True)
    assert [each.name for each in mocks if each.is_mock and each.num_qubits == 5]


def test_a_circuit_on_faulty_qubits(device: Backend) -> None:
    circuit = transpile(bell(), device, initial_layout=[0, 1])
    device.check_faulty(circuit)
    properties = device.properties()
    assert properties is not None
    operational = {"date": properties["last_update_date"], "name": "operational", "unit": ""}
    properties["qubits"][1].append({**operational, "value": 0})
    device._properties = type(properties)(properties, properties._make)
    with pytest.raises(InvalidInputError, match="out of order"):
        device.check_faulty(circuit)


# Where jobs run


KINDS = {"sampler": Sampler, "estimator": Estimator, "executor": Executor}


def run(primitive: Any) -> Any:
    """Send a small job."""
    if isinstance(primitive, Executor):
        program = QuantumProgram(shots=5)
        program.append_circuit_item(transpile(bell(), primitive.backend()))
        return primitive.run(program)
    if isinstance(primitive, Estimator):
        return primitive.run((QuantumCircuit(1), "Z"), precision=0.5)
    return primitive.run(bell(), shots=5)


@pytest.mark.parametrize("block", [Session, Batch])
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_a_backend_in_a_block_joins_its_session(kind: type[Any], block: type[Session]) -> None:
    """As with qiskit-ibm-runtime; the next test runs its own classes."""
    device = default_service().backend(DEVICE)
    with block(backend=DEVICE) as session:
        for given in (device, DEVICE, default_service().ibm().backend(DEVICE)):
            with pytest.warns(UserWarning, match=f"the jobs run in this {block.__name__.lower()}"):
                primitive = kind(given)
            assert primitive.mode is primitive.session is session
        assert run(primitive).session_id == session.session_id
        with pytest.raises(InvalidInputError, match=rf"'fake_lima' is given .*on '{DEVICE}'"):
            kind("fake_lima")
    assert kind(device).session is None


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_official_client_joins_too_and_refuses_another_device() -> None:
    from qiskit_ibm_runtime import SamplerV2  # noqa: PLC0415 - its session takes its place
    from qiskit_ibm_runtime import Session as OfficialSession  # noqa: PLC0415 - as above

    official = default_service().ibm()
    backend = official.backend(DEVICE)
    with OfficialSession(backend) as session:
        assert SamplerV2(mode=backend).mode is session
        with pytest.raises(ValueError, match="different from the session backend"):
            SamplerV2(mode=official.backend("fake_lima"))


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_a_job_that_runs_outside_of_its_block_says_so(kind: type[Any]) -> None:
    before = kind(DEVICE)
    with Session(backend=DEVICE) as session:
        with pytest.warns(UserWarning, match="runs outside of <Session") as said:
            job = run(before)
        assert job.session_id is None
        assert said[0].filename == __file__
        with pytest.warns(UserWarning, match="runs outside of"):
            run(kind("aer_simulator"))
        inputs = {"pubs": [[bell(), None, 5]], "version": 2}
        with pytest.warns(UserWarning, match=r"session\.run"):
            default_service().run("sampler", inputs, {"backend": DEVICE})
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            session.run("sampler", inputs)
            run(kind())


def test_a_session_of_another_service_is_not_joined(slow_home: Path) -> None:
    found = process.endpoint(folder=slow_home)
    with Session(backend=DEVICE):
        other = QiskitRuntimeService("local", token=found.token, url=found.url)
        with pytest.raises(InvalidInputError, match="is given inside the block"):
            Sampler(other.backend(DEVICE))
        other.close()


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_a_dry_run_in_a_session(kind: type[Any]) -> None:
    with Session(backend=DEVICE) as session:
        primitive = kind()
        if kind is Executor:
            program = QuantumProgram(shots=5)
            program.append_circuit_item(transpile(bell(), primitive.backend()))
            job = primitive.run(program, dry_run=True)
        else:
            pub = bell() if kind is Sampler else (QuantumCircuit(1), "Z")
            job = primitive.run([pub], dry_run=True)
        assert job.backend().name == "mock_manila"
        assert job.session_id is None
        assert job.result() is not None
        assert session.jobs() == []


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("block", ["Session", "Batch"])
def test_a_dry_run_of_the_official_client_in_a_session(block: str) -> None:
    import qiskit_ibm_runtime as official  # noqa: PLC0415 - only here

    backend = default_service().ibm().backend(DEVICE)
    with getattr(official, block)(backend) as session:
        job = official.SamplerV2(mode=session).run([transpile(bell(), backend)], dry_run=True)
        assert job.result()[0].data.cr.num_shots == 4096
        found = default_service().job(job.job_id())
        assert (found.session_id, found.backend().name) == (None, "mock_manila")


# Programs of 2023 and 2024


def test_older_spellings_of_where_to_run() -> None:
    assert Sampler(backend=DEVICE).backend().name == DEVICE
    with Session(DEVICE, "1h") as session:
        sampler = Sampler(session=session, backend=DEVICE)
        assert sampler.session is session
        assert Estimator(session, backend=session.device).session is session
        details = session.details()
        assert details is not None
        assert details["max_time"] == 3600
        with pytest.raises(InvalidInputError, match="'fake_lima' is not where"):
            Sampler(session=session, backend="fake_lima")
        with pytest.raises(InvalidInputError, match="two names for the same"):
            Sampler(session, session=session)
    with pytest.raises(InvalidInputError, match="two backends are given"):
        Session(DEVICE, "fake_lima", "1h")
    with pytest.raises(InvalidInputError, match="max_time='fake_lima'"):
        Session(DEVICE, "fake_lima")


def test_attributes_that_packages_read_from_primitives(device: Backend) -> None:
    for kind in KINDS.values():
        primitive = kind(device)
        assert primitive.backend() is primitive._backend is device
    assert Sampler(device).version == Estimator(device).version == 2


def test_removed_features_name_their_replacement(device: Backend) -> None:
    with pytest.raises(UnsupportedError, match=r"with Session\(backend='fake_manila'\)"):
        device.open_session(max_time="1h")
    with pytest.raises(UnsupportedError, match=r"Sampler\(mode=backend\)"):
        device.run(bell())


# Jobs


def test_attributes_that_programs_read_from_jobs(device: Backend) -> None:
    job = Sampler(device).run(bell(), shots=5)
    assert job.result(poll_interval=0.2)[0].data.cr.num_shots == 5
    assert (job.primitive_id, job.image, job.private) == ("sampler", "", False)
    assert job.instance is None
    theirs = default_service().ibm().job(job.job_id())
    assert job.usage_estimation == theirs.usage_estimation
    assert job.backend(timeout=5).name == DEVICE
    assert job.properties() == device.properties()
    assert job.usage(partial=True) == job.usage()
    assert job.status() in job.JOB_FINAL_STATES
    assert job.ERROR == theirs.ERROR


def test_waiting_as_qiskit_and_the_official_client_do(slow_runtime: Path) -> None:
    assert slow_runtime
    job = Sampler(DEVICE).run(bell())
    told: list[tuple[str, str, Any]] = []
    twice = threading.Event()

    def note(job_id: str, status: str, given: Any) -> None:
        told.append((job_id, status, given))
        if len(told) > 1 and not twice.is_set():
            twice.set()
            job.cancel()

    job.wait_for_final_state(wait=0.1, callback=note)
    assert job.cancelled()
    assert {(job_id, given) for job_id, _, given in told} == {(job.job_id(), job)}
    assert {status for _, status, _ in told} <= {"QUEUED", "RUNNING"}
    for wrong in (-1, "soon", float("nan"), True):
        with pytest.raises(InvalidInputError, match="poll_interval="):
            job.wait_for_final_state(poll_interval=wrong)  # type: ignore[arg-type] # refused
    with pytest.raises(InvalidInputError, match="two names for the same"):
        job.wait_for_final_state(poll_interval=1, wait=1)


def test_a_poll_interval_is_the_pause_between_questions(monkeypatch: pytest.MonkeyPatch) -> None:
    """As at IBM, which holds no request."""
    service = default_service()
    monkeypatch.setattr(service, "_features", frozenset())
    job = Sampler(DEVICE).run(bell(), shots=5)
    job.wait_for_final_state()
    ends = iter([False] * 8 + [True] * 50)
    monkeypatch.setattr(type(job), "_over", lambda _: next(ends))
    monkeypatch.setattr(type(job), "_refresh", lambda *_, **__: False)
    monkeypatch.setattr(type(job), "_ended_unheard_of", lambda _: False)
    pauses: list[float] = []
    monkeypatch.setattr(service.api.transport, "pause", pauses.append)
    job.wait_for_final_state(poll_interval=0.7)
    assert pauses
    assert set(pauses) == {0.7}


# Default services


def test_a_runtime_that_was_joined_is_the_default(own_runtime: Path, slow_home: Path) -> None:
    """A student writes no service, and must not get a runtime of their own."""
    theirs = process.endpoint(folder=slow_home)
    joined = QiskitRuntimeService(channel="local", url=theirs.url, token=theirs.token)
    session = Session(backend=DEVICE)
    try:
        assert session.service is joined
        assert Sampler().backend().service is joined
        assert Sampler(DEVICE).backend().service is joined
        assert Session.from_id(str(session.session_id)).service is joined
    finally:
        session.cancel()
    assert not (own_runtime / "runtime.json").exists()
    again = QiskitRuntimeService(channel="local", url=theirs.url, token=theirs.token)
    assert default_service() is again, "the last one"
    again.close()
    assert default_service() not in {again, joined}
    joined.close()
