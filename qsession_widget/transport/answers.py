"""The response to a request, however it was sent, and the errors of sending."""

from __future__ import annotations

import codecs
import json
from typing import TYPE_CHECKING, Any, Protocol, Self

import msgspec

from qsession_widget.support.handles import Closing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping

_FIRST_ERROR = 400
_UTF_8 = "utf-8"


class Unsigned(Protocol):
    """A request that authentication may add headers to (`requests.PreparedRequest` is one)."""

    @property
    def headers(self) -> MutableMapping[str, Any]:
        """The headers that are sent."""


class Auth(Protocol):
    """Adds authentication to requests, as `requests.auth.AuthBase` does."""

    def __call__(self, request: Any, /) -> Any:
        """Add the headers to a request (`Unsigned`), and return it."""


class UnsendableError(Exception):
    """A request that cannot be sent, or whose response cannot be followed."""


class BrokenError(Exception):
    """A connection that could not be made, or broke before or during a response.

    Attributes:
        never_sent: whether it failed before the request could have reached a server.
        hopeless: whether retrying is pointless, as with a certificate that is not trusted.
    """

    def __init__(self, reason: str, *, never_sent: bool = False, hopeless: bool = False) -> None:
        super().__init__(reason)
        self.never_sent = never_sent
        self.hopeless = hopeless


class Answer(Closing):
    """The response to a request.

    Args:
        status_code: its status.
        headers: its headers; names in any case.
        parts: what is left of its body, in order.
        request: method and path of the request, for messages.
        reason: the text of the status.
        authorization: the header of that name that was sent.
        close: gives the connection up before the whole body has come.
    """

    def __init__(
        self,
        status_code: int,
        headers: Mapping[str, str],
        parts: Iterable[bytes],
        *,
        request: str,
        reason: str = "",
        authorization: str | None = None,
        close: Callable[[], object] = lambda: None,
    ) -> None:
        self.status_code = status_code
        self.headers = headers
        self.request = request
        self.reason = reason
        self.authorization = authorization
        self._parts = parts
        self._close = close
        self._content: bytes | None = None

    def __repr__(self) -> str:
        return f"<Answer {self.status_code} to {self.request}>"

    def close(self) -> None:
        """Close the connection, unless the whole body has come."""
        self._close()

    def parts(self) -> Iterator[bytes]:
        """Return the body as it comes. It is not kept.

        Raises:
            BrokenError: if the connection breaks meanwhile.
        """
        yield from self._parts

    @property
    def content(self) -> bytes:
        """The whole body."""
        if self._content is None:
            self._content = b"".join(self._parts)
        return self._content

    @property
    def text(self) -> str:
        """The whole body as text, in the encoding that it names, else in UTF-8."""
        charset = self.headers.get("Content-Type", "").partition("charset=")[2].strip("\"' ")
        try:
            encoding = codecs.lookup(charset or _UTF_8).name
        except LookupError:
            encoding = _UTF_8
        return self.content.decode(encoding, errors="replace")

    def json(self) -> Any:
        """Decode the body.

        Raises:
            ValueError: if it is not JSON.
        """
        try:
            return msgspec.json.decode(self.content)
        except msgspec.MsgspecError:
            # Python also writes and reads values that are not JSON, such as NaN.
            return json.loads(self.content)

    def check(self) -> Self:
        """Return it, if it is no error.

        Raises:
            UnsendableError: for a status of 400 or more.
        """
        if self.status_code >= _FIRST_ERROR:
            raise UnsendableError(f"{self.request}: HTTP {self.status_code} {self.reason}")
        return self
