"""How requests get to a server: pooled connections, proxies, and whose certificates are trusted."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter

from qsession_widget import forking

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    Verify = bool | str
    """Whether to check a server's certificate; a path is that of the authorities to trust."""

_POOL_SIZE = 32
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_CREDENTIALS = re.compile(r"//[^/\s'\"]*@")

_parents: list[requests.Session] = []
"""Connections of the process that this one was forked from: neither used nor closed here, since
closing takes locks that a thread of the parent may have held."""


class Connections:
    """Connections to one server, to be shared by any number of threads.

    Args:
        url: the server.
        verify: whether to check its certificate; a path is a file, or a folder, of the
            authorities to trust.
        proxies: addresses of proxies by scheme, as requests takes them. They come before those of
            the environment, which stand in no way to this machine itself.
    """

    def __init__(
        self, url: str, *, verify: Verify = True, proxies: Mapping[str, str] | None = None
    ) -> None:
        self._verify = verify
        self._proxies = dict(proxies or {})
        # Against loopback neither proxies nor .netrc may get in between.
        self._trusts_environment = urlsplit(url).hostname not in _LOOPBACK
        self._session = self._new_session()
        forking.heed(self)

    def _new_session(self) -> requests.Session:
        session = requests.Session()
        session.trust_env = self._trusts_environment
        adapter = HTTPAdapter(pool_connections=4, pool_maxsize=_POOL_SIZE)
        session.mount("http://", adapter)
        session.mount("https://", adapter)
        return session

    def after_fork(self) -> None:
        """Open connections of its own: on the parent's, both would read each other's answers."""
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
        """Send a request, as `requests.Session.request`."""
        # Said with each: requests lets the environment win over a session's own.
        return self._session.request(
            method, url, verify=self._verify, proxies=dict(self._proxies), **rest
        )


def without_credentials(text: str) -> str:
    """Give a text without the names and passwords of the addresses in it."""
    return _CREDENTIALS.sub("//***@", text)
