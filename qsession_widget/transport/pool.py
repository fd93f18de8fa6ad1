"""Pooled connections to a server, by the fastest way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qsession_widget.support import forking
from qsession_widget.support.handles import Closing
from qsession_widget.transport.addresses import is_here
from qsession_widget.transport.answers import UnsendableError
from qsession_widget.transport.direct import DirectConnections

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qsession_widget.transport.addresses import Verify
    from qsession_widget.transport.answers import Answer
    from qsession_widget.transport.through_requests import RequestsConnections

_REDIRECTS = frozenset({301, 302, 303, 307, 308})


class ConnectionPool(Closing):
    """Connections to one server, shared by any number of threads.

    Plain HTTP on this machine goes directly; everything else goes through `requests`, which is
    imported only then.

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
        self._url = url
        self._verify = verify
        self._proxies = proxies
        self._proven = proven
        self._lock = forking.Lock()
        self._others: RequestsConnections | None = None
        self._direct: DirectConnections | None = None
        if url.startswith("http://") and "@" not in url and is_here(url) and not proxies:
            self._direct = DirectConnections(proven=proven)

    def close(self) -> None:
        """Close them."""
        for each in (self._direct, self._others):
            if each is not None:
                each.close()

    def request(self, method: str, url: str, **rest: Any) -> Answer:
        """Send a request; arguments and errors as for `DirectConnections.request`.

        A redirection is followed, but not from a server that has to prove itself: ours has none.
        """
        direct = self._direct
        if direct is None:
            return self._through_requests().request(method, url, **rest)
        answer = direct.request(method, url, **rest)
        if answer.status_code not in _REDIRECTS:
            return answer
        answer.close()
        if self._proven:
            raise UnsendableError(f"{url} leads to another place")
        self._direct = None
        return self._through_requests().request(method, url, **rest)

    def _through_requests(self) -> RequestsConnections:
        # Not needed for a runtime on this machine.
        from qsession_widget.transport.through_requests import (  # noqa: PLC0415 - 50 ms
            RequestsConnections,
        )

        with self._lock:
            if self._others is None:
                self._others = RequestsConnections(
                    self._url, verify=self._verify, proxies=self._proxies, proven=self._proven
                )
            return self._others
