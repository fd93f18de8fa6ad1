"""Redirects a `requests.Session` of IBM's client to a local runtime, wherever that listens now.

The client keeps one address and one token forever. The runtime has another token after each start,
and maybe another port. Requests get the present ones, and are sent to the runtime only.
"""

from __future__ import annotations

import socket
from copy import copy
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase

from qsession_widget.errors import ServiceUnavailableError
from qsession_widget.transport.addresses import is_here
from qsession_widget.transport.proof_adapter import ProvenAdapter
from qsession_widget.transport.through_requests import never_sent

if TYPE_CHECKING:
    from collections.abc import Callable

    from qsession_widget.wire.discovery import Discovery

_UNAUTHORIZED = 401
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class Way:
    """The last known address and token of a runtime, for all threads.

    Args:
        runtime: the first ones.
        find: finds the runtime again, or raises a ServiceUnavailableError; None if its address and
            token never change.
    """

    def __init__(self, runtime: Discovery, find: Callable[[], Discovery] | None) -> None:
        self.first = runtime
        self.find = find
        self._runtime = runtime

    @property
    def runtime(self) -> Discovery:
        """The last known address and token."""
        return self._runtime

    def renewed(self) -> bool:
        """Look for the runtime again, and return whether there is one."""
        if self.find is None:
            return False
        try:
            found = self.find()
        except ServiceUnavailableError:
            return False
        self._runtime = found
        return True


class LocalAuth(AuthBase):
    """Authenticates with the runtime's token. It uses no IAM, which could redirect the token.

    Args:
        way: the way to the runtime.
        crn: the CRN of its one instance.
    """

    def __init__(self, way: Way, crn: str) -> None:
        self.way = way
        self.crn = crn

    @property
    def api_key(self) -> str:
        """The present token, under the name that qiskit-ibm-runtime's own class has for it."""
        return self.way.runtime.token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add the headers (requests.auth.AuthBase)."""
        request.headers.update(self.get_headers())
        return request

    def get_headers(self) -> dict[str, str]:
        """Return the headers."""
        return {"Service-CRN": self.crn, "Authorization": f"Bearer {self.api_key}"}

    def __deepcopy__(self, memo: Any = None) -> LocalAuth:
        return self

    def __repr__(self) -> str:
        return "LocalAuth(...)"


def lead(session: requests.Session, way: Way, crn: str) -> None:
    """Make a session send all of its requests to a runtime, and only there.

    Args:
        session: the session; the retries of its adapter are kept.
        way: the way to the runtime.
        crn: the CRN of its one instance.
    """
    session.auth = LocalAuth(way, crn)
    root = way.first.url
    if is_here(root):
        # Proxies and .netrc must not be used.
        session.trust_env = False
    retries = copy(cast("HTTPAdapter", session.get_adapter(root)).max_retries)
    if way.find is not None:
        # If no connection can be made, the runtime is looked for at once, without retries.
        retries.connect = 0
        session.mount("http://", _ProvenWay(way, crn, max_retries=retries))
    else:
        session.mount(f"{root}/", _OneWay(max_retries=retries))


class _OneWay(HTTPAdapter):
    """Sends without delay.

    Without TCP_NODELAY, which urllib3 does not set on connections through a proxy, the body of each
    POST waits 40 ms until the runtime's machine acknowledges its headers.
    """

    def proxy_manager_for(self, proxy: str, **more: Any) -> Any:
        """Return the pools of a proxy (requests.adapters.HTTPAdapter)."""
        options = [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)]
        return partial(super().proxy_manager_for, socket_options=options)(proxy, **more)


class _ProvenWay(ProvenAdapter):
    def __init__(self, way: Way, crn: str, **arguments: Any) -> None:
        self._way, self._crn = way, crn
        super().__init__(**arguments)

    def send(
        self, request: requests.PreparedRequest, *arguments: Any, **more: Any
    ) -> requests.Response:
        """Send a request to the runtime, and once more if its address has changed."""
        try:
            answer = self._sent(request, *arguments, **more)
        except requests.ConnectionError as error:
            if not (never_sent(error) or request.method in _SAFE) or not self._way.renewed():
                raise
            return self._sent(request, *arguments, **more)
        shown = self._way.runtime.token
        if answer.status_code != _UNAUTHORIZED or not self._way.renewed():
            return answer
        if self._way.runtime.token == shown:
            return answer
        return self._sent(request, *arguments, **more)

    def _sent(
        self, request: requests.PreparedRequest, *arguments: Any, **more: Any
    ) -> requests.Response:
        now = self._way.runtime
        known = self._way.first.url
        led = request.copy()
        led.url = f"{now.url}{(request.url or '').removeprefix(known)}"
        led.headers["Authorization"] = f"Bearer {now.token}"
        # A proxy must not be used: the proof is about the server at the end of the connection.
        return super().send(led, *arguments, **{**more, "proxies": {}})
