"""The certificate that a runtime makes for itself, if it has none of an authority.

Its users get a copy of the file, and give it as `verify=`: it is the only one that they trust.
"""

from __future__ import annotations

import logging
import socket
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from qsession_widget.wire import private_files

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

log = logging.getLogger(__name__)

_VALID_DAYS = 730
_RENEWED_BEFORE = timedelta(days=1)
_MADE_BEFORE = timedelta(days=1)
"""For users whose clocks are behind."""

_NOT_FOR = (
    *("content_commitment", "key_encipherment", "data_encipherment", "key_agreement"),
    *("key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
)
"""Uses that its key does not have: it signs itself, and nothing else."""

_LOCAL = ("localhost", "127.0.0.1", "::1")


def certificate_path(home: Path) -> Path:
    """Return the certificate's path in a runtime's folder."""
    return home / "certificate.pem"


def key_path(home: Path) -> Path:
    """Return the path of its key."""
    return home / "certificate-key.pem"


def names_of(host: str, name_elsewhere: str) -> list[str]:
    """Return the names and addresses by which users may reach a runtime.

    Args:
        host: the address at which it serves.
        name_elsewhere: how it is announced.
    """
    found = dict.fromkeys([name_elsewhere, host, *_LOCAL])
    with suppress(ValueError):
        if ip_address(host).is_unspecified:
            del found[host]
            found.update(dict.fromkeys([socket.gethostname(), *_own_addresses()]))
    return list(found)


def ensure(home: Path, names: Iterable[str], now: datetime | None = None) -> tuple[Path, Path]:
    """Return a certificate and its key; they are made if there are none that can be used.

    They are made anew when the certificate is about to expire, when it lacks one of the names, or
    when a file cannot be read.

    Args:
        home: the runtime's folder.
        names: names and addresses that it has to be valid for.
        now: the time; None is the present one.

    Raises:
        OSError: they cannot be written.
    """
    now = now or datetime.now(UTC)
    wanted = list(names)
    certificate, key = certificate_path(home), key_path(home)
    if not _usable(certificate, key, wanted, now):
        _make(certificate, key, wanted, now)
        log.info("made a certificate for %s: %s", ", ".join(wanted), certificate)
    private_files.close_to_others(key)
    return certificate, key


def _usable(certificate: Path, key: Path, wanted: list[str], now: datetime) -> bool:
    try:
        found = x509.load_pem_x509_certificate(certificate.read_bytes())
        own = serialization.load_pem_private_key(key.read_bytes(), None)
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except FileNotFoundError:
        return False
    except (OSError, ValueError, TypeError, x509.ExtensionNotFound) as error:
        log.warning("the certificate %s cannot be used, and is made anew: %s", certificate, error)
        return False
    return (
        own.public_key() == found.public_key()
        and found.not_valid_before_utc <= now < found.not_valid_after_utc - _RENEWED_BEFORE
        and all(_general(name) in names for name in wanted)
    )


def _make(certificate: Path, key: Path, names: list[str], now: datetime) -> None:
    own = ec.generate_private_key(ec.SECP256R1())
    who = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "qsession-widget runtime")])
    public = own.public_key()
    use = x509.KeyUsage(digital_signature=True, **dict.fromkeys(_NOT_FOR, False))
    made = (
        x509.CertificateBuilder()
        .subject_name(who)
        .issuer_name(who)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _MADE_BEFORE)
        .not_valid_after(now + timedelta(days=_VALID_DAYS))
        .add_extension(x509.SubjectAlternativeName(map(_general, names)), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(use, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(public), critical=False)
        .sign(own, hashes.SHA256())
    )
    private_files.write(
        key,
        own.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
    )
    private_files.write(certificate, made.public_bytes(serialization.Encoding.PEM))


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _own_addresses() -> list[str]:
    """Return the addresses of this machine that its own name stands for."""
    try:
        found = socket.getaddrinfo(socket.gethostname(), None, type=socket.SOCK_STREAM)
    except OSError:
        return []
    # An address of one link has a zone behind a "%".
    return [str(each[4][0]) for each in found if "%" not in str(each[4][0])]
