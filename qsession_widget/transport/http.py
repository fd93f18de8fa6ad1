"""One pooled HTTP connection to a service: timeouts, retries where they are safe, typed errors."""

from __future__ import annotations

import itertools
import json
import logging
import random
import threading
import time
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from qsession_widget.errors import QSessionError, ServiceUnavailableError
from qsession_widget.transport.answers import BrokenError, UnsendableError
from qsession_widget.transport.auth import IAMAuth
from qsession_widget.transport.pool import ConnectionPool
from qsession_widget.transport.responses import (
    RETRY_STATUSES,
    RETRY_WHEN_TOLD,
    refusal,
    retry_after,
)
from qsession_widget.transport.server_time import ServerTime
from qsession_widget.wire.fields import API_VERSION, CONTENT_LOCATION, IDEMPOTENCY_KEY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from qsession_widget.transport.addresses import Verify
    from qsession_widget.transport.answers import Answer, Auth

logger = logging.getLogger(__name__)

_ATTEMPTS = 5
_FIRST_PAUSE_SECONDS = 0.25
_LONGEST_PAUSE_SECONDS = 8.0
_LONGEST_RETRY_AFTER_SECONDS = 60.0
_OUTAGE_SECONDS = 30.0
"""How long to wait for the restart of a runtime that has answered before."""
_LONGEST_OUTAGE_PAUSE_SECONDS = 2.0
_OUTAGE_STATUSES = frozenset({502, 503, 504})
_CONNECT_TIMEOUT_SECONDS = 5.0
_READ_TIMEOUT_SECONDS = 60.0
_REPEATABLE_METHODS = frozenset({"GET", "PUT", "DELETE"})
_HEADERS = {"Accept": "application/json", "IBM-API-Version": API_VERSION}
_FIRST_ERROR = 400
_UNAUTHORIZED = 401
_NOT_FOUND = 404

_unattended: ContextVar[bool] = ContextVar("qsession_widget_unattended", default=False)


@contextmanager
def unattended() -> Iterator[None]:
    """Mark the requests of a block as background polls, which no user is waiting for.

    They revive a local runtime that died, but do not start one that was stopped.
    """
    token = _unattended.set(True)
    try:
        with hurried():
            yield
    finally:
        _unattended.reset(token)


_hurried: ContextVar[bool] = ContextVar("qsession_widget_hurried", default=False)


@contextmanager
def hurried() -> Iterator[None]:
    """Mark the requests of a block as those of a caller that retries by itself.

    They do not wait for a runtime that is being restarted.
    """
    token = _hurried.set(True)
    try:
        yield
    finally:
        _hurried.reset(token)


def is_unattended() -> bool:
    """Whether this code runs in an `unattended` block."""
    return _unattended.get()


@dataclass(frozen=True)
class Endpoint:
    """The base address of a REST API, and the authentication for it."""

    url: str
    auth: Auth


class Transport:
    """A connection to one REST API, shared by any number of threads.

    Args:
        endpoint: where the API is.
        recover: returns the present endpoint when a connection breaks or the token is refused, and
            may restart the local runtime for that. None if the endpoint never changes.
        honours_keys: whether the server knows `Idempotency-Key`. Only then is a POST repeated
            after it may have arrived.
        verify: whether to check the server's certificate; a path is that of trusted authorities.
        proxies: addresses of proxies by scheme, as requests takes them.
        proven: whether the server has to prove that it knows the token before the token is sent.
        read_seconds: how long it may take until a response, or its next part, comes.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        recover: Callable[[], Endpoint] | None = None,
        honours_keys: bool = False,
        verify: Verify = True,
        proxies: Mapping[str, str] | None = None,
        proven: bool = False,
        read_seconds: float = _READ_TIMEOUT_SECONDS,
    ) -> None:
        self._read_seconds = read_seconds
        self._endpoint = endpoint
        self._recover = recover
        self._honours_keys = honours_keys
        self._answered = False
        self._closed = threading.Event()
        self.server_time = ServerTime()
        """The server's clock, estimated from its responses."""
        self._connections = ConnectionPool(
            endpoint.url, verify=verify, proxies=proxies, proven=proven
        )

    def __repr__(self) -> str:
        return f"Transport({self.url!r})"

    @property
    def url(self) -> str:
        """The present base of the REST API."""
        return self._endpoint.url

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed.is_set()

    def close(self) -> None:
        """Close the connections. Later requests fail, and so do those that pause between tries."""
        self._closed.set()
        self._connections.close()

    @property
    def startable(self) -> bool:
        """Whether the server is a local runtime that a request may start."""
        return self._recover is not None

    def hang_up(self) -> None:
        """Use new connections from now on: a response on one of them was to another request."""
        self._connections.close()

    def pause(self, seconds: float) -> None:
        """Sleep, but stop at once when the connection is closed.

        Raises:
            ServiceUnavailableError: if it was closed.
        """
        if self._closed.wait(seconds):
            raise self._closed_error()

    def _closed_error(self) -> ServiceUnavailableError:
        return ServiceUnavailableError(f"the connection to {self.url} was closed")

    def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | str | None = None,
        headers: Mapping[str, str] | None = None,
        key: str | None = None,
        held_seconds: float = 0.0,
        repeatable: bool = False,
        stream: bool = False,
        gone_is_done: bool = False,
    ) -> Answer:
        """Send a request and return its response, 2xx or 304.

        Args:
            method: HTTP method.
            path: path below the API's base, with its first slash.
            params: query; lists are repeated keys, None is left out.
            body: JSON object, or text that is JSON already.
            headers: further headers.
            key: `Idempotency-Key` of a POST; sent, and relied on for repeating, only if the server
                knows it.
            held_seconds: how long the server may hold the request.
            repeatable: whether the request is idempotent although its method is not.
            stream: whether the caller reads the response's body, and has to close the response.
            gone_is_done: whether a 404 means that an earlier try, whose response was lost, worked.

        If a runtime that has answered before is being restarted, a request that may be repeated
        goes on for half a minute, unless its caller is `hurried`.

        Raises:
            NotAuthorizedError, NotFoundError, ConflictError, ServiceError: if the server refuses.
            ServiceUnavailableError: if it cannot be reached or keeps failing.
        """
        if self._honours_keys and key:
            headers = {**(headers or {}), IDEMPOTENCY_KEY: key}
        call = _Call(
            method=method,
            path=path,
            params={name: value for name, value in (params or {}).items() if value is not None},
            # Encoded once, so that a repetition has the same bytes.
            data=_encoded(body),
            headers={
                **_HEADERS,
                **(headers or {}),
                **({"Content-Type": "application/json"} if body is not None else {}),
            },
            read_timeout=self._read_seconds + held_seconds,
            repeatable=repeatable
            or method in _REPEATABLE_METHODS
            or (self._honours_keys and key is not None),
            stream=stream,
            gone_is_done=gone_is_done,
        )
        return self._tried(call)

    def _tried(self, call: _Call) -> Answer:
        """Send a request until there is a final response, or until retrying is pointless."""
        problem: QSessionError
        patience = _Patience(call.repeatable and self._honours_keys and not _hurried.get())
        may_have_arrived = False
        for attempt in itertools.count(1):
            endpoint = self._endpoint
            try:
                response = self._once(endpoint, call)
            except BrokenError as error:
                over = patience.over(attempt, lasting=self._answered)
                problem = self._broken(call, error, last=over)
                may_have_arrived = may_have_arrived or not error.never_sent
                if self._recover is not None:
                    self._endpoint = self._found_again(call, error)
                    if attempt == 1:
                        continue
                pause = _backoff(attempt)
            else:
                if call.is_done_by(response, may_have_arrived=may_have_arrived):
                    return response
                if (
                    response.status_code == _UNAUTHORIZED
                    and attempt == 1
                    and self._renewed(endpoint, response)
                ):
                    continue
                problem = refusal(response, call.method, call.path)
                told = retry_after(response, self.server_time.now())
                pause = max(_backoff(attempt), told or 0.0)
                passing = response.status_code in RETRY_STATUSES or (
                    response.status_code in RETRY_WHEN_TOLD and told is not None
                )
                restarting = response.status_code in _OUTAGE_STATUSES and self._answered
                if (
                    not (passing and call.repeatable)
                    or patience.over(attempt, lasting=restarting)
                    or pause > _LONGEST_RETRY_AFTER_SECONDS
                ):
                    raise problem
                may_have_arrived = True
            pause = patience.pause(attempt, pause)
            logger.info("Trying again in %.1f s: %s", pause, problem)
            self.pause(pause)
        raise AssertionError  # the loop has no end

    def _once(self, endpoint: Endpoint, call: _Call) -> Answer:
        if self.closed:
            raise self._closed_error()
        asked_at = time.monotonic()
        try:
            response = self._connections.request(
                call.method,
                endpoint.url + call.path,
                params=call.params,
                data=call.data,
                headers=call.headers,
                auth=endpoint.auth,
                timeout=(_CONNECT_TIMEOUT_SECONDS, call.read_timeout),
                stream=call.stream,
            )
        except UnsendableError as error:
            raise ServiceUnavailableError(
                f"{call.method} {self.url}{call.path}: {error}"
            ) from error
        self._check_whose(call, response)
        self._answered = self._answered or response.status_code not in RETRY_STATUSES
        # A held request includes the time that it was held, which only widens the estimate.
        self.server_time.learn(response.headers.get("Date"), asked_at, time.monotonic())
        return response

    def _check_whose(self, call: _Call, response: Answer) -> None:
        """Refuse a response that names another request than ours, as the local runtime does."""
        key = response.headers.get(IDEMPOTENCY_KEY)
        place = response.headers.get(CONTENT_LOCATION)
        if (key is None or key == call.headers.get(IDEMPOTENCY_KEY)) and (
            place is None or unquote(place).endswith(unquote(call.path))
        ):
            return
        response.close()
        self.hang_up()
        raise BrokenError(f"the answer is that of another request ({place or key})")

    def _broken(self, call: _Call, error: BrokenError, *, last: bool) -> ServiceUnavailableError:
        """Return the error for a broken connection, or raise it if retrying is pointless."""
        problem = ServiceUnavailableError(f"{call.method} {self.url}{call.path}: {error}")
        if last or error.hopeless or not (call.repeatable or error.never_sent):
            raise problem from error
        return problem

    def _found_again(self, call: _Call, error: BrokenError) -> Endpoint:
        """Find the server's present endpoint; a runtime that was stopped stays stopped."""
        recover = self._recover or (lambda: self._endpoint)
        if call.read_timeout > self._read_seconds and not error.never_sent:
            recover = unattended()(recover)
        return recover()

    def _renewed(self, refused: Endpoint, response: Answer) -> bool:
        """Get another token: from IAM, or of the runtime if it was restarted."""
        if isinstance(refused.auth, IAMAuth):
            refused.auth.forget(response.authorization)
            return True
        if self._recover is None:
            return False
        self._endpoint = self._recover()
        return self._endpoint != refused


class _Patience:
    """The retry policy of one request.

    Args:
        patient: whether it goes on during a restart of the runtime.
    """

    def __init__(self, patient: bool) -> None:
        self._patient = patient
        self._until = time.monotonic() + _OUTAGE_SECONDS
        self._paused = 0.0

    def over(self, attempt: int, *, lasting: bool) -> bool:
        """Return whether this was the last try.

        Args:
            attempt: its number, from 1.
            lasting: whether the failure may be due to a restart.
        """
        if attempt < _ATTEMPTS:
            return False
        # Both are bounded: the time, and the number of pauses in case they take no time.
        waited = time.monotonic() >= self._until or self._paused >= _OUTAGE_SECONDS
        return waited or not (self._patient and lasting)

    def pause(self, attempt: int, seconds: float) -> float:
        """Return the length of the next pause, and count it."""
        if attempt >= _ATTEMPTS:
            seconds = min(seconds, _LONGEST_OUTAGE_PAUSE_SECONDS)
        self._paused += seconds
        return seconds


@dataclass(frozen=True)
class _Call:
    """A request that can be sent again."""

    method: str
    path: str
    params: Mapping[str, Any]
    data: bytes | None
    headers: Mapping[str, str]
    read_timeout: float
    repeatable: bool
    stream: bool = False
    gone_is_done: bool = False

    def is_done_by(self, answer: Answer, *, may_have_arrived: bool) -> bool:
        """Whether a response says that it worked, maybe in an earlier try with a lost response."""
        gone = answer.status_code == _NOT_FOUND
        return answer.status_code < _FIRST_ERROR or (
            gone and self.gone_is_done and may_have_arrived
        )


def _encoded(body: Mapping[str, Any] | str | None) -> bytes | None:
    if body is None:
        return None
    return (body if isinstance(body, str) else json.dumps(body)).encode()


def _backoff(attempt: int) -> float:
    longest = min(_FIRST_PAUSE_SECONDS * 2.0 ** (attempt - 1), _LONGEST_PAUSE_SECONDS)
    spread = random.uniform(0.5, 1.0)  # noqa: S311 - spreads clients out, keeps no secret
    return longest * spread
