"""Relays between a client and a server: TLS with a throw-away authority, a proxy, broken links."""

from __future__ import annotations

import base64
import ipaddress
import socket
import ssl
import threading
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

DAY = timedelta(days=1)
CONNECT = "CONNECT"


class Authority:
    """A certificate authority that no system trusts, in a file of its own."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "authority.pem"
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "untrusted")])
        self._certificate = self._signed(
            self._name,
            self._key,
            [
                x509.BasicConstraints(ca=True, path_length=None),
                x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()),
                _key_usage(signs=True),
            ],
        )
        self.file.write_bytes(self._certificate.public_bytes(serialization.Encoding.PEM))

    def context(self, *hosts: str) -> ssl.SSLContext:
        """Return a TLS context for a server with these names and addresses."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._signed(
            x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hosts[0])]),
            key,
            [
                x509.BasicConstraints(ca=False, path_length=None),
                x509.SubjectAlternativeName([_general_name(host) for host in hosts]),
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()),
                _key_usage(signs=False),
            ],
        )
        file = self._folder / "server.pem"
        file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            + certificate.public_bytes(serialization.Encoding.PEM)
        )
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(file)
        return context

    def _signed(
        self,
        name: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        extensions: list[x509.ExtensionType],
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - DAY)
            .not_valid_after(now + DAY)
        )
        for extension in extensions:
            builder = builder.add_extension(extension, critical=False)
        return builder.sign(self._key, hashes.SHA256())


def _key_usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


@contextmanager
def listening(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """Serve each connection on a thread of its own, and yield the port."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def work() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                threading.Thread(target=one, args=(connection,), daemon=True).start()

        def one(connection: socket.socket) -> None:
            # A client that leaves, or does not trust us, only ends its own connection.
            with suppress(OSError), connection:
                serve(connection)

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


@contextmanager
def tls_before(root: str, context: ssl.SSLContext) -> Iterator[int]:
    """Terminate TLS in front of a server, and yield the port."""

    def serve(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secure:
            _join(secure, _port_of(root))

    with listening(serve) as port:
        yield port


class Proxy:
    """A forward proxy with a password; it connects to one local port, whatever the host.

    Attributes:
        asked: method and target of each request, as they came.
    """

    def __init__(self, port: int, credentials: str) -> None:
        self._port = port
        self._wanted = "Basic " + base64.b64encode(credentials.encode()).decode()
        self.asked: list[tuple[str, str]] = []

    def serve(self, connection: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            more = connection.recv(65_536)
            if not more:
                return
            head += more
        first, _, rest = head.partition(b"\r\n")
        method, target, version = first.decode().split(" ")
        self.asked.append((method, target))
        if f"Proxy-Authorization: {self._wanted}\r\n".encode() not in rest:
            connection.sendall(
                b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n"
                b"Connection: close\r\n\r\n"
            )
            return
        if method == CONNECT:
            connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            _join(connection, self._port)
            return
        parts = urlsplit(target)
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        lines = [line for line in rest.split(b"\r\n") if not line.startswith(b"Connection")]
        # One request per connection, so that there is one head to record.
        sent = [f"{method} {path} {version}".encode(), b"Connection: close", *lines]
        _join(connection, self._port, b"\r\n".join(sent))


def _port_of(root: str) -> int:
    port = urlsplit(root).port
    assert port is not None
    return port


def _join(one: socket.socket, port: int, first: bytes = b"") -> None:
    """Copy bytes both ways until one side closes."""
    with socket.create_connection(("127.0.0.1", port)) as other:
        other.sendall(first)

        def carry(source: socket.socket, target: socket.socket) -> None:
            with suppress(OSError):
                while data := source.recv(65_536):
                    target.sendall(data)
            with suppress(OSError):
                target.shutdown(socket.SHUT_WR)

        back = threading.Thread(target=carry, args=(other, one), daemon=True)
        back.start()
        carry(one, other)
        back.join()


class Cut:
    """Relays to a server, and breaks a connection in the middle of a response.

    Attributes:
        done: how many responses were cut.
    """

    def __init__(self, root: str) -> None:
        self._port = _port_of(root)
        self._left: float | None = None
        self._wanted = b""
        self.done = 0

    def next(self, request: str, part: float) -> None:
        """Cut the response to the next request whose first line contains a text.

        Args:
            request: the text, for example "POST /api/v1/jobs".
            part: how much of it arrives: 0 is nothing, 0.99 all but its end.
        """
        self._wanted, self._left = request.encode(), part

    def serve(self, connection: socket.socket) -> None:
        with socket.create_connection(("127.0.0.1", self._port)) as server:
            hit = threading.Event()

            def ask() -> None:
                with suppress(OSError):
                    while data := connection.recv(65_536):
                        line = data.partition(b"\r\n")[0]
                        if self._left is not None and self._wanted in line:
                            hit.set()
                        server.sendall(data)
                with suppress(OSError):
                    server.shutdown(socket.SHUT_WR)

            threading.Thread(target=ask, daemon=True).start()
            while data := server.recv(2**20):
                part = self._left
                if hit.is_set() and part is not None:
                    self._left = None
                    self.done += 1
                    connection.sendall(data[: int(len(data) * part)])
                    # Both ends see the broken connection.
                    connection.shutdown(socket.SHUT_RDWR)
                    return
                connection.sendall(data)
