"""Leads a `requests.Session` of somebody else's client to a local runtime, wherever that is by now.

The client keeps one address and one token for ever. The runtime has another token after each start,
and maybe another port: what goes out is changed to those of the moment, and goes to none but it.
"""

from __future__ import annotations

import socket
import threading
from copy import copy
from functools import partial
from typing import TYPE_CHECKING, Any

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase

from qsession_widget.errors import ServiceUnavailableError
from qsession_widget.transport.pool import is_here
from qsession_widget.transport.proof_adapter import ProvenAdapter
from qsession_widget.transport.responses import never_sent

if TYPE_CHECKING:
    from collections.abc import Callable

    from qsession_widget.wire.discovery import Discovery

_UNAUTHORIZED = 401
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class Way:
    """The way to a runtime, as last known. For all threads.

    Args:
        runtime: how to reach it at first.
        find: finds it again, or raises a ServiceUnavailableError; None where it has one address
            and token for ever.
    """

    def __init__(self, runtime: Discovery, find: Callable[[], Discovery] | None) -> None:
        self.first = runtime
        self.find = find
        self._lock = threading.Lock()
        self._runtime = runtime

    @property
    def runtime(self) -> Discovery:
        """How to reach it."""
        with self._lock:
            return self._runtime

    def renewed(self) -> bool:
        """Look for it again, and say whether there is one."""
        if self.find is None:
            return False
        try:
            found = self.find()
        except ServiceUnavailableError:
            return False
        with self._lock:
            self._runtime = found
        return True


class LocalAuth(AuthBase):
    """Shows a runtime its token. There is no IAM in between: none could lead it elsewhere.

    Args:
        way: to the runtime.
        crn: of its one instance.
    """

    def __init__(self, way: Way, crn: str) -> None:
        self.way = way
        self.crn = crn

    @property
    def api_key(self) -> str:
        """The token of the moment, under the name that qiskit-ibm-runtime's own has."""
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
    """Have a session send all of its requests to a runtime, and to it alone.

    Args:
        session: with the adapter whose retries are to be kept.
        way: to the runtime.
        crn: of its one instance.
    """
    session.auth = LocalAuth(way, crn)
    root = way.first.url
    if is_here(root):
        # Neither proxies nor .netrc may get in between.
        session.trust_env = False
    retries = copy(session.get_adapter(root).max_retries)  # type: ignore[attr-defined]
    if way.find is not None:
        # It is looked for at once where no connection can be made.
        retries.connect = 0
        session.mount("http://", _ProvenWay(way, crn, max_retries=retries))
    else:
        session.mount(f"{root}/", _OneWay(max_retries=retries))


class _OneWay(HTTPAdapter):
    """Sends at once.

    Without TCP_NODELAY, which urllib3 leaves out on connections through a proxy, the body of each
    POST waits 40 ms until the runtime's kernel acknowledges its head.
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
        """Send a request to where the runtime is; once more where that has changed."""
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
        # No proxy may stand between: the proof is of whom the connection leads to.
        return super().send(led, *arguments, **{**more, "proxies": {}})
