"""The certificate that a runtime makes for itself."""

from __future__ import annotations

import re
import shutil
import socket
import ssl
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from cryptography import x509

from qsession_widget import QiskitRuntimeService
from qsession_widget.cli.main import main
from qsession_widget.errors import QSessionError
from qsession_widget.local import process
from qsession_widget.runtime import command, self_signed
from qsession_widget.support.fingerprints import sha256_fingerprint
from tests.conftest import running

if TYPE_CHECKING:
    from pathlib import Path

ANYWHERE = "0.0.0.0"  # noqa: S104 - that is what is tested
NAMES = ["qc.example.org", "192.0.2.7", "::1"]
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def test_users_join_with_a_copy_of_it(
    own_runtime: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What `qsession user add` prints works as it stands, in a folder with the certificate."""
    with running(own_runtime, "--host", ANYWHERE, "--self-signed"):
        url = process.endpoint(start=False).public_url
        assert url.startswith("https://")
        assert main(["user", "add", "ada"]) == 0
        said = capsys.readouterr().out
        path = self_signed.certificate_path(own_runtime)
        assert str(path) in said.splitlines()
        assert sha256_fingerprint(path) in said.splitlines()
        desk = tmp_path / "desk"
        desk.mkdir()
        copy = desk / "certificate.pem"
        shutil.copy(path, copy)
        lines = [each for each in said.splitlines() if re.match(r"from |service = ", each)]
        joined = subprocess.run(  # noqa: S603 - ours
            [sys.executable, "-c", "\n".join([*lines, "print(len(service.jobs()))"])],
            cwd=desk,
            capture_output=True,
            text=True,
            check=False,
        )
        assert joined.stdout == "0\n", joined
        token = said.splitlines()[0]
        port = urlsplit(url).port
        # Those on the same machine, and by its other names.
        for host in ("localhost", "127.0.0.1"):
            there = f"https://{host}:{port}"
            assert QiskitRuntimeService("local", token, there, verify=copy).jobs() == []
        with pytest.raises(QSessionError, match=r'verify="certificate.pem"'):
            QiskitRuntimeService("local", token, url).jobs()
        fingerprint = sha256_fingerprint(path)
        with pytest.raises(QSessionError, match="address for which the certificate was made"):
            QiskitRuntimeService("local", token, f"https://127.0.0.2:{port}", verify=copy).jobs()
    for each in (path, self_signed.key_path(own_runtime)):
        assert each.stat().st_mode & 0o777 == 0o600
    with running(own_runtime, "--host", ANYWHERE, "--self-signed"):
        assert sha256_fingerprint(path) == fingerprint, "the same after a restart"


def names(certificate: Path) -> list[str]:
    found = x509.load_pem_x509_certificate(certificate.read_bytes()).extensions
    return [
        str(each.value) for each in found.get_extension_for_class(x509.SubjectAlternativeName).value
    ]


def test_it_is_used_again_until_it_expires_or_lacks_a_name(tmp_path: Path) -> None:
    certificate, key = self_signed.ensure(tmp_path, NAMES, NOW)
    first = certificate.read_bytes(), key.read_bytes()
    assert names(certificate) == NAMES
    assert key.stat().st_mode & 0o777 == 0o600

    def again(wanted: list[str], days: float) -> bool:
        self_signed.ensure(tmp_path, wanted, NOW + timedelta(days=days))
        return (certificate.read_bytes(), key.read_bytes()) == first

    assert again(NAMES, 0)
    assert again(NAMES[:1], 728)
    assert not again([*NAMES, "192.0.2.8"], 0)
    assert names(certificate) == [*NAMES, "192.0.2.8"]
    first = certificate.read_bytes(), key.read_bytes()
    assert not again(NAMES, 729.5)
    first = certificate.read_bytes(), key.read_bytes()
    assert not again(NAMES, -2), "nor may it be of the future"


@pytest.mark.parametrize("broken", ["certificate.pem", "certificate-key.pem"])
@pytest.mark.parametrize("content", [b"", b"nonsense", None])
def test_files_that_cannot_be_used_are_made_anew(
    tmp_path: Path, broken: str, content: bytes | None
) -> None:
    self_signed.ensure(tmp_path, NAMES, NOW)
    if content is None:
        (tmp_path / "other").mkdir()
        self_signed.ensure(tmp_path / "other", NAMES, NOW)
        content = (tmp_path / "other" / broken).read_bytes()
    (tmp_path / broken).write_bytes(content)
    certificate, key = self_signed.ensure(tmp_path, NAMES, NOW)
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)


def test_a_key_that_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    _, key = self_signed.ensure(tmp_path, NAMES, NOW)
    key.chmod(0o644)
    self_signed.ensure(tmp_path, NAMES, NOW)
    assert key.stat().st_mode & 0o777 == 0o600


def test_it_holds_under_strict_checks(tmp_path: Path) -> None:
    """Python 3.13 checks certificates strictly by default."""
    certificate, key = self_signed.ensure(tmp_path, ["localhost"])
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate, key)
    client = ssl.create_default_context(cafile=str(certificate))
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    near, far = ssl.MemoryBIO(), ssl.MemoryBIO()
    asks = client.wrap_bio(near, far, server_hostname="localhost")
    answers = server.wrap_bio(far, near, server_side=True)
    pending: list[Any] = [asks, answers, asks, answers, asks]
    for each in pending:
        try:
            each.do_handshake()
        except ssl.SSLWantReadError:
            continue
    assert asks.getpeercert()
    openssl = shutil.which("openssl")
    if openssl:
        shown = subprocess.run(  # noqa: S603 - a program of the system
            [openssl, "x509", "-in", str(certificate), "-noout", "-fingerprint", "-sha256"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert shown.strip().endswith(sha256_fingerprint(certificate))


def test_the_names_of_all_addresses_are_those_of_the_machine() -> None:
    found = self_signed.names_of(ANYWHERE, "qc.example.org")
    assert found[0] == "qc.example.org"
    assert {"localhost", "127.0.0.1", "::1", socket.gethostname()} <= set(found)
    assert ANYWHERE not in found
    assert self_signed.names_of("192.0.2.7", "192.0.2.7")[0] == "192.0.2.7"
    assert socket.gethostname() not in self_signed.names_of("192.0.2.7", "192.0.2.7")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--self-signed"], "add --host"),
        (["--host", ANYWHERE, "--self-signed", "--tls-cert", "c.pem"], "leave --tls-cert"),
    ],
)
def test_flags_that_contradict_each_other_are_refused(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        command.main(arguments)
    assert said in capsys.readouterr().err


def test_a_file_without_a_certificate_has_no_fingerprint(tmp_path: Path) -> None:
    path = tmp_path / "empty.pem"
    path.write_text("")
    with pytest.raises(ValueError, match="holds no certificate"):
        sha256_fingerprint(path)
