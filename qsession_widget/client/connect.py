"""Connects to the service of an account, or to that of a service of qiskit-ibm-runtime."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from qsession_widget.errors import InvalidInputError
from qsession_widget.local import process
from qsession_widget.local.ibm_client import Connection
from qsession_widget.support import validation
from qsession_widget.support.official import needed
from qsession_widget.transport.accounts import IBM_URL, LOCAL, Account
from qsession_widget.transport.auth import IAM_URL_VARIABLE, BearerAuth, IAMAuth, check_iam
from qsession_widget.transport.http import Endpoint, Transport, is_unattended
from qsession_widget.transport.ibm_cloud import (
    CATALOG_URL_VARIABLE,
    SEARCH_URL_VARIABLE,
    Cloud,
    Instance,
    fitting,
)
from qsession_widget.wire.discovery import Discovery
from qsession_widget.wire.fields import API_PREFIX

if TYPE_CHECKING:
    from pathlib import Path

    from qsession_widget.transport.accounts import Proxies
    from qsession_widget.transport.ibm_redirect import Way

_PROXY_SCHEMES = frozenset({"http", "https", "socks4", "socks4a", "socks5", "socks5h"})


def connect(account: Account) -> Transport:
    """Connect to the service of an account; the local runtime is started if it is not running.

    Args:
        account: the account; at IBM with the CRN of its instance.

    Raises:
        InvalidInputError: if a variable would send the account's key to a wrong server.
        RuntimeStartError: if the local runtime cannot be started.
    """
    verify, proxies = account.verify, account.proxies
    if account.channel != LOCAL:
        url = account.ibm_api_url()
        check_iam(url)
        return Transport(Endpoint(url, _iam(account)), verify=verify, proxies=proxies)
    if account.url is not None:
        there = Endpoint(
            account.url.rstrip("/").removesuffix(API_PREFIX) + API_PREFIX,
            BearerAuth(account.token or ""),
        )
        return Transport(there, honours_keys=True, verify=verify, proxies=proxies)

    def find() -> Endpoint:
        found = process.endpoint(revive_only=is_unattended())
        return Endpoint(found.url + API_PREFIX, BearerAuth(found.token))

    return Transport(find(), recover=find, honours_keys=True, proven=True)


def list_instances(account: Account) -> list[Instance]:
    """List the instances of an account at IBM.

    Raises:
        InvalidInputError: if a variable would send the account's key to a wrong server.
        NotAuthorizedError, ServiceError, ServiceUnavailableError: as for `Transport.request`.
    """
    _check_variables(account)
    cloud = Cloud(
        account.search_url(),
        account.catalog_url(),
        _iam(account.with_changes(instance="")),
        verify=account.verify,
        proxies=account.proxies,
    )
    try:
        return cloud.instances()
    finally:
        cloud.close()


def fitting_instances(account: Account) -> list[Instance]:
    """List the instances that fit an account without a CRN, the first choice first.

    Raises:
        InvalidInputError: if none fits, and as for `list_instances`.
    """
    return fitting(
        list_instances(account),
        name=None if account.instance == "auto" else account.instance,
        region=account.region,
        plans_preference=account.plans_preference,
        tags=account.tags,
    )


def official_service(account: Account, url: str) -> Any:
    """Make a genuine `qiskit_ibm_runtime.QiskitRuntimeService` for an account.

    Args:
        account: the account.
        url: present base of its REST API.

    Raises:
        InvalidInputError: if a variable would send the account's key to a wrong server.
    """
    if account.channel == LOCAL:
        if account.url is None:
            return process.official_service()
        there = Discovery(url.removesuffix(API_PREFIX), 0, "", account.token or "")
        return Connection(there).service()
    # The variables may have been changed since our own client connected.
    _check_variables(account)
    with needed("IBM's client"):
        from qiskit_ibm_runtime import QiskitRuntimeService

    return QiskitRuntimeService(
        channel=account.channel,
        token=account.token,
        url=account.url,
        instance=account.instance,
        proxies={"urls": account.proxies} if account.proxies else None,
        verify=account.verify,
        private_endpoint=account.private_endpoint,
    )


def of_official(official: Any, instance: str | None = None) -> tuple[Account, Transport]:
    """Connect to the servers that a service of qiskit-ibm-runtime talks to.

    Args:
        official: a `qiskit_ibm_runtime.QiskitRuntimeService`.
        instance: CRN of the instance; None is the official service's active one.

    Raises:
        InvalidInputError: for anything else, including its local testing mode.
    """
    try:
        # Only its private clients know the servers that resolvers and variables led them to.
        from qsession_widget.transport.ibm_redirect import LocalAuth

        client = official._get_api_client(instance)._session  # noqa: SLF001 - nothing public does
        if isinstance(client.auth, LocalAuth):
            return _of_local(client.auth.way, official.channel, client.auth.crn)
        key, crn, iam_url = client.auth.api_key, client.auth.crn, client.auth.tm.url
        channel, api_url = official.channel, client.base_url.rstrip("/")
        url = official.active_account()["url"]
    except AttributeError as error:
        raise InvalidInputError(
            f"{official!r} has no sessions on a service; qiskit-ibm-runtime's local testing mode "
            "has none at all"
        ) from error
    account = Account(
        channel,
        key,
        url,
        crn,
        verify=client.verify if isinstance(client.verify, str) else bool(client.verify),
        proxies=dict(client.proxies or {}),
    )
    auth = IAMAuth(key, crn, iam_url=iam_url, verify=account.verify, proxies=account.proxies)
    there = Endpoint(api_url, auth)
    return account, Transport(there, verify=account.verify, proxies=account.proxies)


def _of_local(way: Way, channel: str, crn: str) -> tuple[Account, Transport]:
    """Connect to the local runtime to which we redirected a service of qiskit-ibm-runtime."""

    def there(found: Discovery) -> Endpoint:
        return Endpoint(found.url + API_PREFIX, BearerAuth(found.token))

    account = Account(channel, way.first.token, way.first.url, crn)
    find = way.find
    if find is None:
        return account, Transport(there(way.first), honours_keys=True)
    return account, Transport(
        there(way.runtime), recover=lambda: there(find()), honours_keys=True, proven=True
    )


def proxies_of(given: Proxies | None) -> dict[str, str] | None:
    """Return proxies in requests' form, from that or qiskit-ibm-runtime's, {"urls": {...}}.

    Raises:
        InvalidInputError: for NTLM names and passwords, which are not supported, and for values
            that are not addresses. The message repeats no address, which may hold a password.
    """
    if given is None:
        return None
    if not isinstance(given, Mapping) or not isinstance(given.get("urls", {}), Mapping):
        raise InvalidInputError(
            'proxies are not a dict of addresses by scheme, {"https": "http://..."}'
        )
    found: dict[str, Any] = dict(given)
    if "urls" in given:
        more = sorted(set(given) - {"urls"})
        if more:
            raise InvalidInputError(
                f"proxies with {', '.join(more)} are not supported; allowed are addresses by scheme"
            )
        found = dict(found["urls"])
    for scheme, address in found.items():
        if not _is_address(address):
            raise InvalidInputError(
                f"the proxy for {scheme!r} is not an address; allowed are addresses such as "
                "http://proxy:3128 and http://name:password@proxy:3128, with special characters "
                "of a password percent-encoded"
            )
    return found


def verify_of(given: bool | str | Path | None) -> bool | str | None:
    """Return `verify` in requests' form: True, False, or a path to trusted authorities.

    Raises:
        InvalidInputError: for a value that is neither a path nor True or False.
    """
    if given is None or isinstance(given, bool):
        return given
    return str(validation.path("verify", given))


def _is_address(address: object) -> bool:
    try:
        parts = urlsplit(str(address))
        # `port` raises a ValueError only when it is read.
        return parts.scheme in _PROXY_SCHEMES and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _check_variables(account: Account) -> None:
    for variable in (IAM_URL_VARIABLE, SEARCH_URL_VARIABLE, CATALOG_URL_VARIABLE):
        check_iam(account.url or IBM_URL, variable)


def _iam(account: Account) -> IAMAuth:
    return IAMAuth(
        account.token or "",
        account.crn or "",
        iam_url=os.environ.get(IAM_URL_VARIABLE) or account.iam_url(),
        verify=account.verify,
        proxies=account.proxies,
    )
