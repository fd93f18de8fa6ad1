"""Accounts: the `QISKIT_IBM_*` variables, and the file in which qiskit-ibm-runtime saves them."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from qsession_widget.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Mapping

LOCAL = "local"
IBM_CHANNELS = ("ibm_quantum_platform", "ibm_cloud")
CHANNELS = (LOCAL, *IBM_CHANNELS)
IBM_URL = "https://cloud.ibm.com"

_CRN_REGION = 5
_CRN_FIELDS = 8
_DEFAULT_NAMES = {
    "ibm_quantum_platform": "default-ibm-quantum-platform",
    "ibm_cloud": "default-ibm-cloud",
}


@dataclass(frozen=True)
class Account:
    """What is needed to talk to a service.

    Attributes:
        channel: "local", "ibm_quantum_platform" or "ibm_cloud".
        token: API key at IBM, bearer token of somebody else's local runtime; None for one's own.
        url: root of the service; None for the channel's own.
        instance: CRN of the instance at IBM.
        verify: whether to check the server's certificate.
        private_endpoint: whether to use IBM's private network.
        proxies: addresses of proxies by scheme.
    """

    channel: str
    token: str | None = field(default=None, repr=False)
    url: str | None = None
    instance: str | None = None
    verify: bool = True
    private_endpoint: bool = False
    proxies: dict[str, str] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if self.channel not in CHANNELS:
            raise InvalidInputError(
                f"channel={self.channel!r} is not known; allowed are {', '.join(CHANNELS)}"
            )
        if self.url is not None and urlsplit(self.url).scheme not in {"http", "https"}:
            raise InvalidInputError(f"url={self.url!r} is not an http or https address")
        for what in ("token", "instance"):
            # Both become headers. Their values are secrets, or long: the message leaves them out.
            if not all("!" <= letter <= "~" for letter in getattr(self, what) or ""):
                raise InvalidInputError(f"the {what} has blanks, line ends or other odd letters")
        if self.channel == LOCAL:
            if (self.token is None) != (self.url is None):
                raise InvalidInputError(
                    "joining somebody else's local runtime takes both url and token; "
                    "without either, your own is found or started"
                )
            return
        if not self.token:
            raise InvalidInputError(f"channel={self.channel!r} takes a token, your API key")
        fields = (self.instance or "").split(":")
        if fields[0] != "crn" or len(fields) < _CRN_FIELDS:
            raise InvalidInputError(
                f"instance={self.instance!r} is not the CRN of an instance; it begins with 'crn:' "
                "and stands on the instance's page at https://quantum.cloud.ibm.com/instances"
            )

    def with_network(self, *, verify: bool | None, proxies: Mapping[str, str] | None) -> Account:
        """Give this account with another way through the network; None leaves its own."""
        return replace(
            self,
            verify=self.verify if verify is None else verify,
            proxies=self.proxies if proxies is None else dict(proxies),
        )

    def ibm_api_url(self) -> str:
        """Derive the REST API's base at IBM from url and CRN, as qiskit-ibm-runtime does."""
        root = self.url or IBM_URL
        if "experimental" in root:
            return root.rstrip("/")
        parts = urlsplit(root)
        region = (self.instance or "").split(":")[_CRN_REGION]
        if self.private_endpoint:
            host = f"private.{region}.quantum.{parts.hostname}"
        elif region == "us-east":
            host = f"quantum.{parts.hostname}"
        else:
            host = f"{region}.quantum.{parts.hostname}"
        return f"{parts.scheme}://{host}/api/v1"


def account_file() -> Path:
    """Give the file in which qiskit-ibm-runtime keeps accounts."""
    return Path.home() / ".qiskit" / "qiskit-ibm.json"


def find_account(channel: str | None = None) -> Account:
    """Find the account to use when no token is given.

    The `QISKIT_IBM_*` variables come first, then the saved account that is marked as default,
    then the one with its channel's default name, then any; then the local runtime. An account
    named "local" is the local runtime as well, so it does not count as a saved one.

    Args:
        channel: look for this one only; None is any.

    Raises:
        InvalidInputError: where the channel has no account, or the file cannot be understood.
    """
    if channel == LOCAL:
        return Account(LOCAL)
    token = os.environ.get("QISKIT_IBM_TOKEN")
    if token:
        return Account(
            channel or os.environ.get("QISKIT_IBM_CHANNEL") or IBM_CHANNELS[0],
            token=token,
            url=os.environ.get("QISKIT_IBM_URL"),
            instance=os.environ.get("QISKIT_IBM_INSTANCE"),
        )
    saved = {
        name: entry
        for name, entry in _saved().items()
        if name != LOCAL and entry.get("channel") in ((channel,) if channel else IBM_CHANNELS)
    }
    if saved:
        return _account(min(saved.items(), key=_preference)[1])
    if channel is None:
        return Account(LOCAL)
    raise InvalidInputError(
        f"no account for channel={channel!r}: give a token, set QISKIT_IBM_TOKEN, or save one "
        f"with qiskit-ibm-runtime in {account_file()}"
    )


def _preference(saved: tuple[str, dict[str, Any]]) -> tuple[bool, bool, int, str]:
    name, entry = saved
    channel = entry["channel"]
    return (
        not entry.get("is_default_account"),
        name != _DEFAULT_NAMES[channel],
        IBM_CHANNELS.index(channel),
        name,
    )


def _saved() -> dict[str, dict[str, Any]]:
    path = account_file()
    try:
        found: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise InvalidInputError(f"the account file {path} cannot be read: {error}") from error
    if not isinstance(found, dict) or not all(isinstance(item, dict) for item in found.values()):
        raise InvalidInputError(f"the account file {path} is not a table of accounts")
    return found


def _account(entry: dict[str, Any]) -> Account:
    return Account(
        entry["channel"],
        token=entry.get("token"),
        url=entry.get("url"),
        instance=entry.get("instance"),
        verify=entry.get("verify") is not False,
        private_endpoint=bool(entry.get("private_endpoint")),
        proxies=dict((entry.get("proxies") or {}).get("urls") or {}),
    )
