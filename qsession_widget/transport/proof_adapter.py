"""Connections of `requests` on which nothing is sent before the server has proved its identity."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection
from urllib3.connectionpool import HTTPConnectionPool
from urllib3.exceptions import NewConnectionError

from qsession_widget.transport.identity import demand, token_in

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class ProvenAdapter(HTTPAdapter):
    """Sends requests on proven connections only.

    Args:
        token: returns the token that the server has to know; None takes that of the request.
        arguments: as for `HTTPAdapter`.
    """

    def __init__(self, token: Callable[[], str] | None = None, **arguments: Any) -> None:
        self._token = token
        super().__init__(**arguments)

    def __deepcopy__(self, memo: Any = None) -> Self:
        # Connections are shared, never copied: clients copy backends with everything in them.
        return self

    def init_poolmanager(self, *arguments: Any, **more: Any) -> None:
        """Make the pools (requests.adapters.HTTPAdapter)."""
        super().init_poolmanager(*arguments, **more)
        wanted = self._token

        class Connection(_Connection):
            token = staticmethod(wanted) if wanted is not None else None

        class Pool(HTTPConnectionPool):
            ConnectionCls = Connection

        classes = self.poolmanager.pool_classes_by_scheme
        self.poolmanager.pool_classes_by_scheme = {**classes, "http": Pool}


class _Connection(HTTPConnection):
    token: Callable[[], str] | None = None

    def request(  # type: ignore[override] # its arguments differ between releases of urllib3
        self,
        method: str,
        url: str,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> None:
        """Send a request; on a new connection after the proof."""
        if self.sock is None:
            token = token_in(headers or {}) if self.token is None else self.token()
            self.connect()
            try:
                demand(self.sock, self.host, self.port, token)  # type: ignore[arg-type] # connected
            except (OSError, ValueError) as error:
                self.close()
                raise NewConnectionError(
                    self,
                    f"{self.host}:{self.port} does not prove that it is the local runtime: {error}",
                ) from error
        super().request(method, url, body=body, headers=headers, **more)
