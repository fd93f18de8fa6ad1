"""Real TLS and proxies between the client and the runtime, with a throw-away authority."""

from __future__ import annotations

import logging
import warnings
from typing import TYPE_CHECKING, Any

import pytest

from qsession_widget import (
    InvalidInputError,
    QiskitRuntimeService,
    Sampler,
    ServiceUnavailableError,
    Session,
)
from qsession_widget.local import process
from qsession_widget.transport import http
from tests.client.circuits import bell
from tests.client.relays import CONNECT, Authority, Proxy, listening, tls_before
from tests.client.throwaway import unused_address

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from qsession_widget.wire.discovery import Discovery

CRN = "crn:v1:bluemix:public:quantum-computing:us-east:a/local:qsession::"
HOST = "quantum.example.test"
IAM = "iam.example.test"
NAME, PASSWORD = "someb0dy", "h0rse battery"
QUOTED = f"{NAME}:h0rse%20battery"


@pytest.fixture
def found(runtime: Path) -> Discovery:
    return process.endpoint(folder=runtime)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def secure_port(found: Discovery, authority: Authority) -> Iterator[int]:
    with tls_before(found.url, authority.context("127.0.0.1", HOST, IAM)) as port:
        yield port


def counts(service: QiskitRuntimeService) -> dict[str, int]:
    with Session(service, "fake_manila") as session:
        result = Sampler(mode=session).run(bell(), shots=50).result()
    counts: dict[str, int] = result[0].data.cr.get_counts()
    return counts


@pytest.mark.parametrize("kind", ["text", "path"])
def test_a_server_with_a_private_authority(
    kind: str, found: Discovery, secure_port: int, authority: Authority
) -> None:
    trusted = str(authority.file) if kind == "text" else authority.file
    url = f"https://127.0.0.1:{secure_port}"
    with QiskitRuntimeService("local", found.token, url, verify=trusted) as service:
        assert sum(counts(service).values()) == 50
        assert service.active_account()["verify"] == str(authority.file)


def test_an_untrusted_certificate(found: Discovery, secure_port: int) -> None:
    url = f"https://127.0.0.1:{secure_port}"
    with (
        QiskitRuntimeService("local", found.token, url) as service,
        pytest.raises(ServiceUnavailableError, match="CERTIFICATE_VERIFY_FAILED"),
    ):
        service.backends()
    with (
        QiskitRuntimeService("local", found.token, url, verify=False) as service,
        warnings.catch_warnings(),
    ):
        # urllib3 warns at each request, as it should.
        warnings.simplefilter("ignore")
        assert sum(counts(service).values()) == 50


def test_a_certificate_for_another_name(found: Discovery, authority: Authority) -> None:
    with tls_before(found.url, authority.context("other.example.test")) as port:
        url = f"https://127.0.0.1:{port}"
        with (
            QiskitRuntimeService("local", found.token, url, verify=authority.file) as service,
            pytest.raises(ServiceUnavailableError, match="IP address mismatch"),
        ):
            service.backends()


def test_missing_certificate_files(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"verify='.*nothing.pem' is not a file or folder"):
        QiskitRuntimeService("local", "t", "https://x", verify=tmp_path / "nothing.pem")


def test_verify_is_saved_as_a_path(authority: Authority, tmp_path: Path) -> None:
    file = tmp_path / "accounts.json"
    QiskitRuntimeService.save_account("key", verify=authority.file, instance=CRN, filename=file)
    with QiskitRuntimeService(filename=file) as service:
        assert service.active_account()["verify"] == str(authority.file)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_all_of_ibm_cloud_is_reached_through_a_proxy_with_a_password(  # noqa: PLR0917 - fixtures
    scheme: str,
    found: Discovery,
    secure_port: int,
    authority: Authority,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    plain_port = int(found.url.rpartition(":")[2])
    proxy = Proxy(plain_port if scheme == "http" else secure_port, f"{NAME}:{PASSWORD}")
    monkeypatch.setenv("IAM_URL", f"{scheme}://{IAM}")
    # Arguments take precedence over the environment.
    monkeypatch.setenv(f"{scheme.upper()}_PROXY", unused_address())
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority.file) if scheme == "https" else "")
    url = f"{scheme}://{HOST}/experimental/api/v1"
    with listening(proxy.serve) as port:
        proxies = {scheme: f"http://{QUOTED}@127.0.0.1:{port}"}
        with QiskitRuntimeService(
            "ibm_cloud", found.token, url, CRN, proxies={"urls": proxies}
        ) as service:
            assert sum(counts(service).values()) == 50
            said = [repr(service), str(service.active_account()), repr(service.api.transport)]
    hosts = {
        target if method == CONNECT else target.split("/")[2] for method, target in proxy.asked
    }
    assert hosts == ({IAM, HOST} if scheme == "http" else {f"{IAM}:443", f"{HOST}:443"})
    assert not any(secret in " ".join([*said, caplog.text]) for secret in (PASSWORD, QUOTED))


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_refuses_is_named_without_the_password(
    scheme: str, found: Discovery, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr(http, "_FIRST_PAUSE_SECONDS", 0.001)
    proxy = Proxy(1, "other:credentials")
    with listening(proxy.serve) as port:
        proxies = {scheme: f"http://{QUOTED}@127.0.0.1:{port}"}
        url = f"{scheme}://{HOST}"
        with (
            QiskitRuntimeService("local", found.token, url, proxies=proxies) as service,
            pytest.raises(Exception, match=r"407|Proxy Authentication") as caught,
        ):
            service.backends()
    assert_silent(caught.value, caplog.text)


def test_an_unreachable_proxy(
    found: Discovery, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr(http, "_FIRST_PAUSE_SECONDS", 0.001)
    address = unused_address().replace("//", f"//{QUOTED}@")
    with (
        QiskitRuntimeService(
            "local", found.token, f"https://{HOST}", proxies={"https": address}
        ) as service,
        pytest.raises(ServiceUnavailableError, match="refused") as caught,
    ):
        service.backends()
    assert_silent(caught.value, caplog.text)


@pytest.mark.parametrize(
    "address", [f"gopher://{QUOTED}@host", f"http://{NAME}:{PASSWORD}@host:port", 7, "host", ""]
)
def test_an_invalid_proxy_is_refused_without_repeating_it(address: Any) -> None:
    with pytest.raises(InvalidInputError, match="proxy for 'https'") as caught:
        QiskitRuntimeService("local", "t", "https://x", proxies={"https": address})
    assert_silent(caught.value)


def assert_silent(error: BaseException, more: str = "") -> None:
    """Check that neither an error nor its causes contain a password."""
    told = [more]
    link: BaseException | None = error
    while link is not None:
        told += [str(link), repr(link)]
        link = link.__cause__ or link.__context__
    assert not any(secret in " ".join(told) for secret in (PASSWORD, QUOTED, "h0rse"))
