"""A runtime that other machines reach: on request, encrypted, or with a warning."""

from __future__ import annotations

import socket
import ssl
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import psutil
import pytest
import requests

from qsession_widget import QiskitRuntimeService, Sampler, Session
from qsession_widget.errors import QSessionError
from qsession_widget.local import process
from qsession_widget.local.admin import Administration
from qsession_widget.runtime.command import main
from qsession_widget.wire.discovery import Discovery
from qsession_widget.wire.fields import API_PREFIX
from tests.client.circuits import bell
from tests.conftest import DEADLINE_SECONDS, eventually, running
from tests.runtime import certificates

if TYPE_CHECKING:
    from pathlib import Path

HERE = "127.0.0.1"


def listening(pid: int) -> set[tuple[str, int]]:
    found = psutil.Process(pid).net_connections("tcp")
    return {tuple(each.laddr) for each in found if each.status == psutil.CONN_LISTEN}


def test_by_default_it_listens_on_loopback_only(own_runtime: Path) -> None:
    found = process.endpoint(folder=own_runtime)
    assert listening(found.pid) == {(HERE, urlsplit(found.url).port)}
    assert not found.public_url


def test_another_user_joins_over_tls(own_runtime: Path, tmp_path: Path) -> None:
    certificate, key = certificates.write(tmp_path, HERE)
    arguments = ("--host", HERE, "--tls-cert", str(certificate), "--tls-key", str(key))
    with running(own_runtime, *arguments):
        found = process.endpoint(start=False)
        assert found.public_url.startswith(f"https://{HERE}:")
        assert found.public_url != found.url
        token = Administration().add_user("ada")
        join: dict[str, Any] = {"channel": "local", "url": found.public_url, "token": token}
        service = QiskitRuntimeService(**join | {"verify": str(certificate)})
        with Session(service, "fake_manila") as session:
            job = Sampler(mode=session).run(bell(), shots=10)
            assert job.result()[0].data.cr.num_shots == 10
        assert service.jobs()[0].job_id() == job.job_id()
        with pytest.raises(
            QSessionError, match=r"CERTIFICATE_VERIFY_FAILED.*verify=\"certificate.pem\""
        ):
            QiskitRuntimeService(**join).backends()
        plain = found.public_url.replace("https", "http")
        with pytest.raises(requests.ConnectionError):
            requests.get(plain + API_PREFIX + "/jobs", timeout=DEADLINE_SECONDS)
        # Nothing changes for this machine.
        mine = QiskitRuntimeService(channel="local")
        assert mine.jobs() == []
        assert process.status() is not None
    log = (own_runtime / "runtime.log").read_text()
    assert f"serving others at {found.public_url}" in log
    assert "not encrypted" not in log
    assert "Traceback" not in log


def test_without_a_certificate_it_warns(tmp_path: Path) -> None:
    with running(tmp_path, "--host", "0.0.0.0"):  # noqa: S104 - that is what is tested
        found = process.endpoint(start=False, folder=tmp_path)
        host = urlsplit(found.public_url).hostname
        assert host
        reached = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        assert not any(ip_address(each[4][0]).is_loopback for each in reached)
        port = urlsplit(found.public_url).port
        assert ("0.0.0.0", port) in listening(found.pid)  # noqa: S104 - as above
        answer = requests.get(
            f"http://{HERE}:{port}{API_PREFIX}/jobs",
            headers={"Authorization": f"Bearer {found.token}"},
            timeout=DEADLINE_SECONDS,
        )
        assert answer.json()["jobs"] == []
    assert "not encrypted" in (tmp_path / "runtime.log").read_text()


def test_it_ends_cleanly_while_it_holds_requests(tmp_path: Path) -> None:
    certificate, key = certificates.write(tmp_path, HERE)
    arguments = ["--host", HERE, "--tls-cert", str(certificate), "--tls-key", str(key)]
    arguments += ["--min-job-seconds", "3600"]
    with ThreadPoolExecutor(1) as pool:
        with running(tmp_path, *arguments):
            found = process.endpoint(start=False, folder=tmp_path)
            root = found.public_url + API_PREFIX
            client = requests.Session()
            client.headers["Authorization"] = f"Bearer {found.token}"
            send = partial(client.request, timeout=DEADLINE_SECONDS, verify=str(certificate))
            session = send("POST", f"{root}/sessions", json={"backend": "fake_manila"}).json()
            watch = f"{root}/qsession/watch?session_id={session['id']}"
            since = send("GET", watch).json()["revision"]
            wait = {"Prefer": "wait=30"}
            held = pool.submit(send, "GET", f"{watch}&since={since}", headers=wait)
            eventually(lambda: others(found) >= 1, "a held request")
        assert held.result(DEADLINE_SECONDS).status_code == 304
    assert not Discovery.path(tmp_path).exists()
    assert "Traceback" not in (tmp_path / "runtime.log").read_text()


def others(found: Discovery) -> int:
    """Count connections to the public port."""
    port = urlsplit(found.public_url).port
    connections = psutil.Process(found.pid).net_connections("tcp")
    return sum(
        each.status == psutil.CONN_ESTABLISHED and each.laddr.port == port for each in connections
    )


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int | str | None, str]:
    try:
        status: int | str | None = main(list(arguments))
    except SystemExit as ended:
        status = ended.code
    return status, capsys.readouterr().err


def test_invalid_settings_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = ("--home", str(tmp_path / "home"))
    status, said = refused(capsys, *home, "--tls-cert", "x.pem")
    assert (status, "--host" in said) == (2, True)
    status, said = refused(capsys, *home, "--host", HERE, "--tls-key", "x.pem")
    assert (status, "--tls-cert" in said) == (2, True)
    status, said = refused(capsys, *home, "--host", HERE, "--tls-cert", "nowhere.pem")
    assert (status, "nowhere.pem" in said) == (1, True)
    certificate, key = certificates.write(tmp_path, HERE, password=b"secret")
    with pytest.raises(ssl.SSLError):
        ssl.create_default_context().load_cert_chain(certificate, key, password="")
    tls = ("--tls-cert", str(certificate), "--tls-key", str(key))
    status, said = refused(capsys, *home, "--host", HERE, *tls)
    assert (status, str(key) in said) == (1, True)
    status, said = refused(capsys, *home, "--host", "192.0.2.1")
    assert (status, "192.0.2.1" in said) == (1, True)
