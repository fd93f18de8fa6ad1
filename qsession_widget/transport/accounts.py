"""Accounts: the `QISKIT_IBM_*` variables, and the file in which qiskit-ibm-runtime saves them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypedDict
from urllib.parse import urlsplit

from qsession_widget.errors import InvalidInputError
from qsession_widget.support import validation
from qsession_widget.wire import private_files

Proxies = Mapping[str, str] | Mapping[str, Mapping[str, str]]
"""Addresses of proxies by scheme, or the same under "urls" as in qiskit-ibm-runtime."""

LOCAL = "local"
IBM_CHANNELS = ("ibm_quantum_platform", "ibm_cloud")
CHANNELS = (LOCAL, *IBM_CHANNELS)
IBM_URL = "https://cloud.ibm.com"

_CRN_CNAME = 2
_CRN_REGION = 5
_CRN_FIELDS = 8
_REGIONS = ("us-east", "eu-de")
_DEFAULT_NAMES = {
    "ibm_quantum_platform": "default-ibm-quantum-platform",
    "ibm_cloud": "default-ibm-cloud",
}


class ActiveAccount(TypedDict):
    """The dict of `QiskitRuntimeService.active_account`: an account without its token."""

    channel: str
    url: str
    instance: str | None
    verify: bool | str


@dataclass(frozen=True)
class Account:
    """Where a service is, and how to connect to it.

    Attributes:
        channel: "local", "ibm_quantum_platform" or "ibm_cloud".
        token: API key at IBM, or bearer token of a local runtime that is joined by its url; None
            for the user's own runtime.
        url: root of the service; None for the channel's own.
        instance: CRN or name of the instance at IBM; None and "auto" choose one.
        verify: whether to check the servers' certificates; a path is a file, or a folder, of
            trusted authorities.
        private_endpoint: whether to use IBM's private network.
        proxies: addresses of proxies by scheme.
        region: choose only instances in this region.
        plans_preference: choose only instances with one of these plans, the first ones first.
        tags: choose only instances with all of these tags.
    """

    channel: str
    token: str | None = field(default=None, repr=False)
    url: str | None = None
    instance: str | None = field(default=None, repr=False)
    verify: bool | str = True
    private_endpoint: bool = False
    proxies: dict[str, str] = field(default_factory=dict, repr=False, hash=False)
    region: str | None = None
    plans_preference: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        validation.one_of(*CHANNELS)("channel", self.channel)
        for name in ("token", "url", "instance", "region"):
            if not isinstance(getattr(self, name), str | None):
                # The value may hold a secret, so the message does not repeat it.
                raise InvalidInputError(f"{name} is not a string; only a string is allowed")
        self._check_the_way()
        if self.channel == LOCAL:
            if (self.token is None) != (self.url is None):
                raise InvalidInputError(
                    "joining a local runtime by its url takes both url and token; "
                    "without either, your own is found or started"
                )
            return
        if not self.token:
            raise InvalidInputError(f"channel={self.channel!r} takes a token, your API key")
        if self.region not in {None, *_REGIONS}:
            raise InvalidInputError(
                f"region={self.region!r} is not known; allowed are {', '.join(_REGIONS)}"
            )
        fields = (self.instance or "").split(":")
        if fields[0] == "crn" and len(fields) < _CRN_FIELDS:
            raise InvalidInputError(
                f"instance={self.instance!r} is not a complete CRN; it is on the instance's page "
                "at https://quantum.cloud.ibm.com/instances"
            )

    def _check_the_way(self) -> None:
        """Check address and token, for any channel."""
        parts = urlsplit(IBM_URL if self.url is None else self.url)
        if "@" in parts.netloc:
            # It would be in every message and repr that names the address: this one leaves it out.
            raise InvalidInputError(
                "url has a user or a password in it, which is not allowed; what opens the service "
                "is given as token"
            )
        if parts.scheme not in {"http", "https"}:
            raise InvalidInputError(f"url={self.url!r} is not an http or https address")
        if isinstance(self.verify, str) and not Path(self.verify).exists():
            raise InvalidInputError(
                f"verify={self.verify!r} is not a file or folder of certificates; allowed are such "
                "a path, True and False"
            )
        for what in ("token", "instance"):
            # Both become headers. Their values are secret or long: the message leaves them out.
            value = self.crn if what == "instance" else self.token
            if not all("!" <= letter <= "~" for letter in value or ""):
                raise InvalidInputError(
                    f"the {what} contains spaces, line ends or other special characters"
                )

    @property
    def crn(self) -> str | None:
        """CRN of the instance; None if the account has its name instead, or no instance."""
        named = self.instance or ""
        return named if named.startswith("crn:") else None

    def with_changes(self, **changes: Any) -> Account:
        """Return this account with other values; None keeps the present value."""
        return replace(
            self, **{name: value for name, value in changes.items() if value is not None}
        )

    def iam_url(self) -> str:
        """Derive IAM's address like qiskit-ibm-runtime; the `IAM_URL` variable overrides it."""
        parts = urlsplit(self.url or IBM_URL)
        if self.crn is None:
            return f"{parts.scheme}://iam.{parts.hostname}"
        private = "private." if self.private_endpoint else ""
        staging = "test." if self.crn.split(":")[_CRN_CNAME] == "staging" else ""
        return f"https://{private}iam.{staging}cloud.ibm.com"

    def search_url(self) -> str:
        """Derive Global Search's address, which lists the account's instances."""
        parts = urlsplit(self.url or IBM_URL)
        return f"{parts.scheme}://api.global-search-tagging.{parts.hostname}"

    def catalog_url(self) -> str:
        """Derive Global Catalog's address, which describes plans."""
        parts = urlsplit(self.url or IBM_URL)
        return f"{parts.scheme}://globalcatalog.{parts.hostname}/api/v1"

    def ibm_api_url(self) -> str:
        """Derive the REST API's base at IBM from url and CRN, like qiskit-ibm-runtime."""
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
    """Return the file in which qiskit-ibm-runtime keeps accounts."""
    return Path.home() / ".qiskit" / "qiskit-ibm.json"


def find_account(
    channel: str | None = None, *, name: str | None = None, filename: str | Path | None = None
) -> Account:
    """Find the account to use when no token is given.

    The `QISKIT_IBM_*` variables come first, then the saved account that is marked as default,
    then the one with its channel's default name, then any; then the local runtime. An account
    named "local" is the local runtime as well, so it does not count as a saved one.

    Args:
        channel: only accounts of this channel; None is any.
        name: the saved account of this name, and no other.
        filename: file of accounts, instead of qiskit-ibm-runtime's.

    Raises:
        InvalidInputError: if there is no such account, or the file cannot be understood.
    """
    check_which(channel, name)
    path = _path(filename)
    if name is not None and name != LOCAL:
        named = _saved(path).get(name)
        if named is None or (channel and named.get("channel") != channel):
            raise InvalidInputError(
                f"no account name={name!r}{f' for channel={channel!r}' if channel else ''} in "
                f"{path}; there are {', '.join(_saved(path)) or 'none'}"
            )
        return _account(named)
    if LOCAL in {channel, name}:
        return Account(LOCAL)
    token = os.environ.get("QISKIT_IBM_TOKEN")
    if token:
        return Account(
            channel or os.environ.get("QISKIT_IBM_CHANNEL") or IBM_CHANNELS[0],
            token=token,
            url=os.environ.get("QISKIT_IBM_URL"),
            instance=os.environ.get("QISKIT_IBM_INSTANCE"),
        )
    saved = _default_saved(_saved(path), channel)
    if saved is not None:
        return _account(saved[1])
    if channel is None:
        return Account(LOCAL)
    raise InvalidInputError(
        f"no account for channel={channel!r}: give a token, set QISKIT_IBM_TOKEN, or save one "
        f"with QiskitRuntimeService.save_account in {path}"
    )


def where_found() -> str:
    """Return, in words, where the default account comes from."""
    if os.environ.get("QISKIT_IBM_TOKEN"):
        return "the account of the variable QISKIT_IBM_TOKEN"
    saved = _default_saved(_saved(account_file()), None)
    return "no account" if saved is None else f"the account {saved[0]!r} saved in {account_file()}"


def save_account(
    account: Account,
    *,
    name: str | None = None,
    filename: str | Path | None = None,
    overwrite: bool = False,
    set_as_default: bool = False,
) -> str:
    """Save an account in the file and format of qiskit-ibm-runtime, which finds it there, too.

    Args:
        account: the account; one of channel "local" without a url need not be saved.
        name: name to save it under; None is the channel's default name.
        filename: file to save it in, instead of qiskit-ibm-runtime's.
        overwrite: whether it may replace an account of that name, and another default.
        set_as_default: whether it is used where no account is named.

    Returns:
        Its name.

    Raises:
        InvalidInputError: if there is one of that name, or another default, already.
    """
    if account.channel == LOCAL:
        raise InvalidInputError("channel='local' needs no account: it works without one")
    check_which(None, name)
    overwrite = validation.boolean("overwrite", overwrite)
    set_as_default = validation.boolean("set_as_default", set_as_default)
    path, name = _path(filename), name or _DEFAULT_NAMES[account.channel]
    saved = _saved(path)
    others = [other for other, entry in saved.items() if entry.get("is_default_account")]
    in_the_way = [name] if name in saved else others if set_as_default else []
    if in_the_way and not overwrite:
        raise InvalidInputError(
            f"account {in_the_way[0]!r} is {'the default' if name not in saved else 'saved'} "
            "already; overwrite=True replaces it"
        )
    if set_as_default:
        for other in others:
            saved[other].pop("is_default_account")
    saved[name] = _entry(account, default=set_as_default)
    _write(path, saved)
    return name


def saved_accounts(
    *, channel: str | None = None, name: str | None = None, filename: str | Path | None = None
) -> dict[str, dict[str, Any]]:
    """Return the saved accounts by name, without their tokens."""
    check_which(channel, name)
    return {
        each: {key: value for key, value in entry.items() if key != "token"}
        for each, entry in _saved(_path(filename)).items()
        if channel in {None, entry.get("channel")} and name in {None, each}
    }


def delete_account(
    *, name: str | None = None, channel: str | None = None, filename: str | Path | None = None
) -> bool:
    """Delete a saved account.

    Args:
        name: its name; None is the channel's default name.
        channel: the channel whose default name is meant; None is "ibm_quantum_platform".
        filename: file to delete it from, instead of qiskit-ibm-runtime's.

    Returns:
        Whether there was one.
    """
    check_which(channel, name)
    path = _path(filename)
    saved = _saved(path)
    if saved.pop(name or _DEFAULT_NAMES[channel or IBM_CHANNELS[0]], None) is None:
        return False
    _write(path, saved)
    return True


def _path(filename: str | Path | None) -> Path:
    if filename is None:
        return account_file()
    return Path(validation.path("filename", filename)).expanduser()


def check_which(channel: str | None, name: str | None, filename: str | Path | None = None) -> None:
    """Check the arguments that choose an account.

    Raises:
        InvalidInputError: for values that cannot be a channel, a name or the path of a file.
    """
    validation.given(validation.path, "filename", filename)
    validation.given(validation.one_of(*CHANNELS), "channel", channel)
    validation.given(validation.text, "name", name)


def _write(path: Path, saved: dict[str, dict[str, Any]]) -> None:
    """Write the file atomically, readable by its owner only: it holds keys."""
    # A symbolic link stays one.
    path = path.resolve()
    private_files.make_folder(path.parent)
    private_files.write(path, json.dumps(saved, sort_keys=True, indent=4).encode())


def _entry(account: Account, *, default: bool) -> dict[str, Any]:
    """Return the entry that qiskit-ibm-runtime would write for an account."""
    entry = {
        "channel": account.channel,
        "token": account.token,
        "url": account.url or IBM_URL,
        "instance": account.instance,
        "verify": account.verify,
        "private_endpoint": account.private_endpoint,
        "proxies": {"urls": account.proxies} if account.proxies else None,
        "region": account.region,
        "plans_preference": list(account.plans_preference) or None,
        "tags": list(account.tags) or None,
        "is_default_account": True if default else None,
    }
    return {key: value for key, value in entry.items() if value is not None}


def _preference(saved: tuple[str, dict[str, Any]]) -> tuple[bool, bool, int, str]:
    name, entry = saved
    channel = entry["channel"]
    return (
        not entry.get("is_default_account"),
        name != _DEFAULT_NAMES[channel],
        IBM_CHANNELS.index(channel),
        name,
    )


def _default_saved(
    saved: dict[str, dict[str, Any]], channel: str | None
) -> tuple[str, dict[str, Any]] | None:
    fitting = [
        (name, entry)
        for name, entry in saved.items()
        if name != LOCAL and entry.get("channel") in ((channel,) if channel else IBM_CHANNELS)
    ]
    return min(fitting, key=_preference) if fitting else None


def _saved(path: Path) -> dict[str, dict[str, Any]]:
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
        verify=verify if isinstance(verify := entry.get("verify"), str) else verify is not False,
        private_endpoint=bool(entry.get("private_endpoint")),
        proxies=dict((entry.get("proxies") or {}).get("urls") or {}),
        region=entry.get("region"),
        plans_preference=tuple(entry.get("plans_preference") or ()),
        tags=tuple(entry.get("tags") or ()),
    )
