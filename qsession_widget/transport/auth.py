"""Authentication of requests: a bearer token, or IBM Cloud's exchange of an API key."""

from __future__ import annotations

import hmac
import logging
import os
import time
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlencode, urlsplit

from qsession_widget.errors import InvalidInputError, NotAuthorizedError, ServiceUnavailableError
from qsession_widget.support import forking
from qsession_widget.transport.addresses import is_here
from qsession_widget.transport.answers import BrokenError, UnsendableError
from qsession_widget.transport.pool import ConnectionPool

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qsession_widget.transport.addresses import Verify
    from qsession_widget.transport.answers import Answer, Unsigned

    T = TypeVar("T", bound=Unsigned)

logger = logging.getLogger(__name__)

IAM_URL = "https://iam.cloud.ibm.com"
IAM_URL_VARIABLE = "IAM_URL"
TOKEN_PATH = "/identity/token"  # noqa: S105 - a path of the REST API, no secret

_TIMEOUT_SECONDS = (5.0, 10.0)
_REFRESH_AT = 0.8
"""Part of a token's life after which the next one is fetched (IBM's own client does the same)."""
_EXPIRY_MARGIN_SECONDS = 10.0
_PAUSE_AFTER_FAILURE_SECONDS = 10.0
_BAD_KEY = frozenset({400, 401, 403})


def check_iam(api_url: str, variable: str = IAM_URL_VARIABLE) -> None:
    """Refuse to send a service's API key or token to the IAM of another service.

    The variables that redirect IBM's own client to a local runtime, on this machine or another,
    would send every other key there, too.

    Args:
        api_url: address of the service to which the key belongs.
        variable: the variable to check.

    Raises:
        InvalidInputError: if the variable names another service's IAM.
    """
    named = os.environ.get(variable)
    if not named:
        return
    if (is_here(named) and not is_here(api_url)) or (is_ibm(api_url) and not is_ibm(named)):
        raise InvalidInputError(
            f"{variable}={named!r} points elsewhere, but the account is for {api_url}: "
            f"its API key would go to the wrong server. Unset {variable}."
        )


def is_ibm(url: str) -> bool:
    """Whether an address is one of IBM Cloud's."""
    return f".{urlsplit(url).hostname or ''}".endswith(".cloud.ibm.com")


class BearerAuth:
    """A fixed bearer token, as the local runtime expects it."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: T) -> T:
        """Add the headers (requests.auth.AuthBase)."""
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request

    def __eq__(self, other: object) -> bool:
        return isinstance(other, BearerAuth) and hmac.compare_digest(
            self._token.encode(), other._token.encode()
        )

    def __hash__(self) -> int:
        return hash(self._token)

    def __repr__(self) -> str:
        return "BearerAuth(...)"


class IAMAuth:
    """An IBM Cloud API key, exchanged for short-lived tokens at `POST {iam}/identity/token`.

    A token is renewed before it expires. While it is valid, a renewal may fail: the next attempt
    follows some seconds later, and no request waits for it.
    """

    def __init__(
        self,
        key: str,
        instance: str,
        *,
        iam_url: str | None = None,
        verify: Verify = True,
        proxies: Mapping[str, str] | None = None,
    ) -> None:
        base = (iam_url or os.environ.get(IAM_URL_VARIABLE) or IAM_URL).rstrip("/")
        self._url = base.removesuffix(TOKEN_PATH) + TOKEN_PATH
        self._key = key
        self._instance = instance
        self._verify = verify
        self._proxies = dict(proxies or {})
        self._lock = forking.Lock()
        self._renewing = forking.Turn()
        self._token = ""
        self._renew_at = 0.0
        self._ends_at = 0.0

    def __call__(self, request: T) -> T:
        """Add the headers (requests.auth.AuthBase)."""
        request.headers["Authorization"] = f"Bearer {self.token()}"
        if self._instance:
            request.headers["Service-CRN"] = self._instance
        return request

    def __repr__(self) -> str:
        return f"IAMAuth({self._instance!r}, ...)"

    def forget(self, header: str | None) -> None:
        """Forget a token that a server refuses, so that the next request gets another one.

        A token may expire unnoticed: a machine that slept does not know for how long.

        Args:
            header: the `Authorization` that was refused.
        """
        with self._lock:
            # Another thread may have a newer one already.
            if header == f"Bearer {self._token}":
                self._renew_at = self._ends_at = 0.0

    def token(self) -> str:
        """Return a token that is valid now.

        Raises:
            NotAuthorizedError: if IAM refuses the API key.
            ServiceUnavailableError: if IAM cannot be reached and no token is valid.
        """
        with self._lock:
            now = time.monotonic()
            if now < self._renew_at:
                return self._token
            valid = now < self._ends_at
            if valid:
                # This thread renews it early; the others go on with the one that is still valid.
                self._renew_at = min(now + _PAUSE_AFTER_FAILURE_SECONDS, self._ends_at)
        with self._renewing:
            now = time.monotonic()
            if not valid and now < self._renew_at:
                # Another thread has fetched one while this one waited for the lock.
                return self._token
            try:
                self._renew(now)
            except ServiceUnavailableError:
                if now >= self._ends_at:
                    raise
                logger.warning("Renewing the IBM Cloud token failed; the present one still works")
            return self._token

    def _renew(self, now: float) -> None:
        try:
            # This happens about once an hour: the connection is not worth keeping open.
            with ConnectionPool(self._url, verify=self._verify, proxies=self._proxies) as there:
                answer = there.request(
                    "POST",
                    self._url,
                    data=urlencode(
                        {
                            "grant_type": "urn:ibm:params:oauth:grant-type:apikey",
                            "apikey": self._key,
                            "response_type": "cloud_iam",
                        }
                    ).encode(),
                    headers={
                        "Accept": "application/json",
                        "Content-Type": "application/x-www-form-urlencoded",
                    },
                    auth=_unsigned,
                    timeout=_TIMEOUT_SECONDS,
                )
        except (BrokenError, UnsendableError) as error:
            raise ServiceUnavailableError(
                f"IBM Cloud's IAM at {self._url} cannot be reached: {type(error).__name__}"
            ) from error
        if answer.status_code in _BAD_KEY:
            raise NotAuthorizedError(
                f"IBM Cloud's IAM refuses the API key: {_reason(answer)}",
                status_code=answer.status_code,
            )
        try:
            body = answer.check().json()
            token, life = str(body["access_token"]), float(body["expires_in"])
        except (UnsendableError, ValueError, KeyError, TypeError) as error:
            raise ServiceUnavailableError(
                f"IBM Cloud's IAM at {self._url} answers {answer.status_code} without a token"
            ) from error
        with self._lock:
            self._token = token
            self._renew_at = now + life * _REFRESH_AT
            self._ends_at = now + life - _EXPIRY_MARGIN_SECONDS


def _unsigned(request: T) -> T:
    """Add no authentication: the key is in the body."""
    return request


def _reason(answer: Answer) -> str:
    """Return IAM's own message, which never repeats the key."""
    try:
        body: Any = answer.json()
        return str(body["errorMessage"])
    except (ValueError, KeyError, TypeError):
        return f"HTTP {answer.status_code}"
