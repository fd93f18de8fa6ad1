"""Together with qiskit-ibm-runtime: its sessions and ours, on the local runtime."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from qiskit import transpile
from qiskit_ibm_runtime import Batch as OfficialBatch
from qiskit_ibm_runtime import SamplerV2
from qiskit_ibm_runtime import Session as OfficialSession
from qiskit_ibm_runtime.fake_provider import FakeManilaV2

from qsession_widget import Batch, InvalidInputError, QiskitRuntimeService, Sampler, Session, watch
from qsession_widget.client.connect import official_service
from qsession_widget.client.default_service import adopted_service
from qsession_widget.client.session import find_session
from qsession_widget.errors import ServiceUnavailableError
from qsession_widget.local import process
from qsession_widget.transport import accounts
from qsession_widget.transport.accounts import Account
from tests.client.circuits import bell
from tests.conftest import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def official(runtime_home: Path) -> Any:
    """Return a genuine service of qiskit-ibm-runtime."""
    return process.official_service(folder=runtime_home)


@pytest.fixture
def theirs(official: Any, runtime: Path) -> Iterator[Any]:
    """Yield a session that qiskit-ibm-runtime has opened."""
    assert runtime
    session = OfficialSession(official.backend("fake_manila"))
    yield session
    session.cancel()


def test_an_official_session_is_ours_as_well(theirs: Any) -> None:
    ours = find_session(theirs)
    assert isinstance(ours, Session)
    assert ours.session_id == theirs.session_id
    assert ours.backend() == "fake_manila"
    assert ours.details() == theirs.details()
    assert ours.status() == theirs.status()
    assert "watch" in ours.service.features
    job = Sampler(mode=theirs).run(bell(), shots=10)
    assert job.session_id == theirs.session_id
    assert job.result()[0].data.cr.num_shots == 10
    assert [each.job_id() for each in ours.jobs()] == [job.job_id()]
    ours.close()
    assert theirs.status() == "Closed"


def test_an_official_batch(official: Any, runtime: Path) -> None:
    assert runtime
    with OfficialBatch(official.backend("fake_manila")) as theirs:
        assert isinstance(find_session(theirs), Batch)


def test_an_official_session_has_a_panel(theirs: Any) -> None:
    panel = watch(theirs)
    assert panel.session.session_id == theirs.session_id
    theirs.close()
    eventually(lambda: panel.head["status"] == "Closed")
    panel.close()


def test_each_official_service_has_one_of_ours(
    theirs: Any, official: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Earlier tests may have adopted services of the same account.
    monkeypatch.setattr("qsession_widget.client.default_service._adopted", {})
    assert find_session(theirs).service is adopted_service(official)
    assert find_session(theirs).service.ibm() is official
    assert "IAMAuth" not in repr(adopted_service(official))
    assert official.active_account()["token"] not in str(
        [repr(adopted_service(official)), adopted_service(official).active_account()]
    )


@pytest.mark.usefixtures("runtime")
@pytest.mark.parametrize("kind", [Session, Batch])
def test_our_session_for_official_primitives(kind: type[Session], runtime_home: Path) -> None:
    with kind(backend="fake_manila") as ours:
        theirs = ours.ibm()
        expected = OfficialBatch if kind is Batch else OfficialSession
        assert type(theirs) is expected
        assert theirs.session_id == ours.session_id
        backend = theirs.service.backend("fake_manila")
        job = SamplerV2(mode=theirs).run([transpile(bell(), backend)], shots=10)
        assert job.result()[0].data.cr.num_shots == 10
        assert [each.job_id() for each in ours.jobs()] == [job.job_id()]
        assert ours.ibm().service is theirs.service, "created once"
        found = process.endpoint(folder=runtime_home)
        joined = QiskitRuntimeService("local", found.token, found.url)
        assert kind.from_id(str(ours.session_id), joined).ibm().session_id == ours.session_id
    assert theirs.status() == "Closed"


@pytest.mark.parametrize("variable", ["IAM_URL", "GLOBAL_SEARCH_URL", "GLOBAL_CATALOG_URL"])
def test_an_official_service_at_ibm_is_not_redirected_to_a_local_runtime(
    runtime: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    assert runtime
    account = Account("ibm_quantum_platform", "a-real-key", instance="crn:v1:a:b:c:us-east:d:e::")
    monkeypatch.setenv(variable, process.connection().cloud[variable])
    with pytest.raises(InvalidInputError, match=f"Unset {variable}") as refused:
        official_service(account, "https://quantum.cloud.ibm.com/api/v1")
    assert "a-real-key" not in str(refused.value)


@pytest.mark.usefixtures("runtime")
def test_an_official_backend_runs_on_its_own_service(official: Any) -> None:
    with Session(backend=official.backend("fake_manila")) as session:
        assert session.service is adopted_service(official)
        assert session.backend() == "fake_manila"
        job = Sampler(mode=official.backend("fake_manila")).run(bell(), shots=10)
        assert job.result()[0].data.cr.num_shots == 10


def test_a_fake_backend_is_on_the_local_runtime_whatever_the_account(
    runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert runtime
    connection = process.connection()
    for name, value in connection.environment.items():
        monkeypatch.setenv(name, value)
    with Session(backend=FakeManilaV2()) as session:
        assert session.service.channel == "local"
    with Session(backend="fake_manila") as session:
        assert session.service.channel == "ibm_quantum_platform"


@pytest.mark.parametrize("backend", [FakeManilaV2(), "fake_manila", "aer_simulator"], ids=str)
def test_a_recorded_device_needs_no_account_at_ibm(
    runtime: Path, monkeypatch: pytest.MonkeyPatch, backend: Any
) -> None:
    """Its servers are unreachable, and are not asked."""
    assert runtime
    monkeypatch.setenv("QISKIT_IBM_TOKEN", "a-real-key")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    with Session(backend=backend) as session:
        assert session.service.channel == "local"
        job = Sampler(mode=session).run(bell(), shots=10)
        assert job.result()[0].data.cr.num_shots == 10


def test_an_error_of_the_default_service_names_its_account(
    runtime: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "accounts.json"
    QiskitRuntimeService.save_account("k" * 44, "https://cloud.ibm.invalid", filename=file)
    monkeypatch.setattr(accounts, "account_file", lambda: file)
    assert runtime
    for name in ("fake_manila", "ibm_somewhere", None):
        with pytest.raises(ServiceUnavailableError) as caught:
            Session(backend=name)
        (note,) = caught.value.__notes__
        assert "'default-ibm-quantum-platform'" in note
        assert str(file) in note
        assert "QiskitRuntimeService('local')" in note
        assert "kkk" not in note + str(caught.value)


@pytest.mark.usefixtures("runtime")
@pytest.mark.parametrize("what", [3, None, OfficialSession(FakeManilaV2())], ids=str)
def test_values_that_are_no_session_are_refused(what: Any) -> None:
    with pytest.raises(InvalidInputError, match=r"is not a session on a service"):
        find_session(what)
    with pytest.raises(InvalidInputError, match=r"is not a session on a service"):
        watch(what)


@pytest.mark.usefixtures("runtime")
def test_simulators_and_local_mode_have_no_session_to_adopt() -> None:
    with (
        Session(backend="aer_simulator") as session,
        pytest.raises(InvalidInputError, match="simulator: no session"),
    ):
        session.ibm()
    with pytest.raises(InvalidInputError, match="local testing mode"):
        adopted_service(OfficialSession(FakeManilaV2()).service)


def test_our_own_session_is_returned_as_it_is(runtime: Path) -> None:
    assert runtime
    with Session(backend="aer_simulator") as session:
        assert find_session(session) is session
