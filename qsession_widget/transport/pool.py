"""Pooled connections to a server, with their proxies and trusted certificates."""

from __future__ import annotations

import re
import socket
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter

from qsession_widget.support import forking
from qsession_widget.transport.proof_adapter import ProvenAdapter

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    Verify = bool | str
    """Whether to check a server's certificate; a path is that of trusted authorities."""

_POOL_SIZE = 32
_CREDENTIALS = re.compile(r"//[^/\s'\"]*@")

_parents: list[requests.Session] = []
"""Connections of the parent process of a fork. They are neither used nor closed, since closing
takes locks that a thread of the parent may have held."""


class ConnectionPool:
    """Connections to one server, shared by any number of threads.

    Args:
        url: the server.
        verify: whether to check its certificate; a path is a file, or a folder, of the
            authorities to trust.
        proxies: addresses of proxies by scheme, as requests takes them. They override those of the
            environment, which are not used for this machine itself.
        proven: whether the server has to prove that it knows the token before the token is sent.
    """

    def __init__(
        self,
        url: str,
        *,
        verify: Verify = True,
        proxies: Mapping[str, str] | None = None,
        proven: bool = False,
    ) -> None:
        self._verify = verify
        self._proxies = dict(proxies or {})
        # Proxies and .netrc must not be used for loopback addresses.
        self._proven = proven
        self._trusts_environment = not is_here(url)
        self._session = self._new_session()
        forking.heed(self)

    def _new_session(self) -> requests.Session:
        session = requests.Session()
        session.trust_env = self._trusts_environment
        make = ProvenAdapter if self._proven else HTTPAdapter
        adapter = make(pool_connections=4, pool_maxsize=_POOL_SIZE)
        session.mount("http://", adapter)
        session.mount("https://", adapter)
        return session

    def after_fork(self) -> None:
        """Open new connections: on the parent's, both would read each other's responses."""
        _parents.append(self._session)
        self._session = self._new_session()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close them."""
        self._session.close()

    def request(self, method: str, url: str, **rest: Any) -> requests.Response:
        """Send a request, like `requests.Session.request`."""
        # Passed with each request: in requests the environment overrides a session's own proxies.
        return self._session.request(
            method, url, verify=self._verify, proxies=dict(self._proxies), **rest
        )


def is_here(url: str) -> bool:
    """Whether an address is this machine's own, in any form: 127.0.0.2, ::1, a.localhost, 127.1."""
    host = (urlsplit(url).hostname or "").rstrip(".")
    address: IPv4Address | IPv6Address | None
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        try:
            # Short forms, as the C library parses them.
            address = ip_address(socket.inet_aton(host)) if host[:1].isdigit() else None
        except OSError:
            address = None
    if address is None:
        return host == "localhost" or host.endswith(".localhost")
    mapped = getattr(address, "ipv4_mapped", None) or address
    return bool(mapped.is_loopback or mapped.is_unspecified)


def without_credentials(text: str) -> str:
    """Return a text without the names and passwords of the addresses in it."""
    return _CREDENTIALS.sub("//***@", text)
