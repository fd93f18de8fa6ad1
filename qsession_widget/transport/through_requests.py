"""Pooled connections to other machines, through `requests`: proxies, certificates, `.netrc`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import requests
from requests.adapters import HTTPAdapter
from requests.exceptions import ChunkedEncodingError, ContentDecodingError
from urllib3.exceptions import NewConnectionError

from qsession_widget.support import forking
from qsession_widget.transport.addresses import is_here, without_credentials
from qsession_widget.transport.answers import Answer, BrokenError, UnsendableError
from qsession_widget.transport.proof_adapter import ProvenAdapter

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from qsession_widget.transport.addresses import Verify
    from qsession_widget.transport.answers import Auth

_POOL_SIZE = 32
_PART_BYTES = 65_536
_WITHOUT_BODY = frozenset({204, 304})
_HTTP_1_0 = 10
_OTHER_NAME = ("certificate is not valid for", "doesn't match")
"""What Python and urllib3 say of a certificate that was made for another address."""
_BROKEN = (requests.ConnectionError, requests.Timeout, ChunkedEncodingError, ContentDecodingError)
"""The errors of a connection that breaks, before or during a response."""

_parents: list[requests.Session] = []
"""Connections of the parent process of a fork. They are neither used nor closed, since closing
takes locks that a thread of the parent may have held."""


class RequestsConnections:
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

    def close(self) -> None:
        """Close them."""
        self._session.close()

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        auth: Auth,
        timeout: tuple[float, float],
        params: Mapping[str, Any] | None = None,
        data: bytes | None = None,
        stream: bool = False,
    ) -> Answer:
        """Send a request; arguments and errors as for `DirectConnections.request`."""
        try:
            # Proxies with each request: in requests the environment overrides a session's own.
            response = self._session.request(
                method,
                url,
                params=params,
                data=data,
                headers=headers,
                auth=auth,
                timeout=timeout,
                stream=stream,
                verify=self._verify,
                proxies=dict(self._proxies),
            )
        except requests.RequestException as error:
            raise _ours(error) from error
        _check_complete(response)
        return Answer(
            response.status_code,
            response.headers,
            _parts(response),
            request=f"{response.request.method} {response.request.path_url}",
            reason=response.reason or "",
            authorization=response.request.headers.get("Authorization"),
            close=response.close,
        )


def _parts(response: requests.Response) -> Iterator[bytes]:
    try:
        yield from response.iter_content(_PART_BYTES)
    except requests.RequestException as error:
        raise _ours(error) from error


def _check_complete(response: requests.Response) -> None:
    """Refuse a response that broke off in its headers: it looks like one with an empty body."""
    lengths = {"Content-Length", "Transfer-Encoding"}
    if (
        response.status_code not in _WITHOUT_BODY
        and not lengths & {name.title() for name in response.headers}
        and not (response.raw.version == _HTTP_1_0 and response.content)
    ):
        response.close()
        raise BrokenError("the answer broke off in its head")


def _ours(error: requests.RequestException) -> BrokenError | UnsendableError:
    """Convert an error of requests into ours, without names and passwords of proxies."""
    if not isinstance(error, _BROKEN):
        return UnsendableError(without_credentials(str(error)))
    text = _innermost(error)
    if any(words in text for words in _OTHER_NAME):
        text += (
            "; use the address for which the certificate was made, the one that "
            "`qsession user add` prints with verify="
        )
    elif "CERTIFICATE_VERIFY_FAILED" in text:
        text += (
            "; if the server has a certificate of its own, give its file: "
            'verify="certificate.pem", as QiskitRuntimeService takes it'
        )
    return BrokenError(
        text,
        never_sent=never_sent(error),
        hopeless=isinstance(error, requests.exceptions.SSLError),
    )


def never_sent(error: requests.RequestException) -> bool:
    """Whether the connection failed before the request could have reached a server."""
    if isinstance(error, requests.ConnectTimeout):
        return True
    outer = error.args[0] if error.args else None
    return isinstance(getattr(outer, "reason", None), NewConnectionError)


def _innermost(error: BaseException) -> str:
    """Return the text of the cause, without the layers of urllib3 around it."""
    outer = error.args[0] if error.args else None
    reason = getattr(outer, "reason", None)
    return without_credentials(str(reason or error))
