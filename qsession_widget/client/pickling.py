"""Pickling: a service goes by its account's name, and its backends, jobs and sessions by their ids.

A pickle may be stored, mailed and read by others, so it never holds a token, key or password.
Unpickling finds the account again by its name, or uses the local runtime.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, NamedTuple, TypeVar, cast

from qsession_widget.client.protocols import Service
from qsession_widget.errors import InvalidInputError
from qsession_widget.support import forking
from qsession_widget.transport import accounts
from qsession_widget.transport.accounts import IBM_URL, LOCAL, Account, find_account
from qsession_widget.wire.discovery import Discovery, home
from qsession_widget.wire.fields import API_PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable


_S = TypeVar("_S", bound=Service)


class Recipe(NamedTuple):
    """The arguments with which a service is made again, without anything secret.

    Attributes:
        channel: None if the environment or a saved account says it.
        instance: CRN or name, if it is not the account's own.
        name: the saved account; None is the local runtime, or the environment's account.
        filename: where that is saved; None is qiskit-ibm-runtime's file.
        verify: as for the constructor, if it is not the account's own.
        region: as `verify`; so are `plans_preference` and `tags`.
    """

    channel: str | None
    instance: str | None
    name: str | None
    filename: str | None
    verify: bool | str | None
    region: str | None = None
    plans_preference: tuple[str, ...] | None = None
    tags: tuple[str, ...] | None = None


_lock = forking.Lock()
_made: weakref.WeakValueDictionary[Recipe, Service] = weakref.WeakValueDictionary()
"""Services of this process that were pickled or unpickled, so that none is made twice."""


def recipe(account: Account, name: str | None, filename: str | None) -> Recipe:
    """Return the recipe that makes a service of an account again.

    Args:
        account: the account.
        name: the saved account that it was made from, if that is known.
        filename: where that is saved; None is qiskit-ibm-runtime's file.

    Raises:
        InvalidInputError: if it could be made only with its token, which is not saved anywhere.
    """
    if account.channel == LOCAL and (account.url is None or _is_own_runtime(account)):
        return Recipe(LOCAL, None, None, None, None)
    for found, told_name in _candidates(name, filename):
        if _same(account, found):
            other = {
                each: getattr(account, each)
                for each in ("instance", "verify", "region", "plans_preference", "tags")
                if getattr(account, each) != getattr(found, each)
            }
            return Recipe(
                None,
                other.pop("instance", None),
                told_name,
                filename if told_name else None,
                other.pop("verify", None),
                **other,
            )
    save = (
        "set QISKIT_IBM_CHANNEL=local, QISKIT_IBM_URL and QISKIT_IBM_TOKEN"
        if account.channel == LOCAL
        else "save the account with QiskitRuntimeService.save_account(name=...), or set "
        "QISKIT_IBM_TOKEN"
    )
    raise InvalidInputError(
        f"a service for {account.url or account.channel} whose token is not saved cannot be "
        f"pickled, since the token would be in the pickle: {save}, here and where it is unpickled"
    )


def _candidates(name: str | None, filename: str | None) -> list[tuple[Account, str | None]]:
    """List the accounts that can be found again, with their names."""
    names: list[str | None] = [name] if name else [*accounts.saved_accounts(filename=filename)]
    found = [*((_found(each, filename), each) for each in names), (_found(None, None), None)]
    return [(account, told) for account, told in found if account is not None]


def _found(name: str | None, filename: str | None) -> Account | None:
    try:
        return find_account(name=name, filename=filename)
    except InvalidInputError:
        # It cannot be used, for example because it has no token.
        return None


def _is_own_runtime(account: Account) -> bool:
    """Whether url and token are those of this user's own runtime."""
    found = Discovery.read(home())
    return found is not None and (found.url, found.token) == (
        (account.url or "").rstrip("/").removesuffix(API_PREFIX),
        account.token,
    )


def _same(one: Account, other: Account) -> bool:
    def way(account: Account) -> tuple[object, ...]:
        url = account.url or (None if account.channel == LOCAL else IBM_URL)
        return account.channel, account.token, url, account.proxies, account.private_endpoint

    return way(one) == way(other)


def remember(how: Recipe, service: Service) -> None:
    """Let this process find the service when it unpickles its recipe."""
    with _lock:
        _made.setdefault(how, service)


def again(how: Recipe, make: Callable[..., _S]) -> _S:
    """Return the service of a recipe: this process's open one, or else a new one.

    Args:
        how: the recipe.
        make: the constructor.
    """
    with _lock:
        known = _made.get(how)
    if known is not None and not known.closed:
        return cast("_S", known)
    made = make(**{key: value for key, value in how._asdict().items() if value is not None})
    with _lock:
        first = cast("_S | None", _made.get(how))
        if first is None or first.closed:
            _made[how] = first = made
    if first is not made:
        made.close()
    return first
