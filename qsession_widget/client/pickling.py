"""How handles travel: a service by its account's name, and what belongs to it by its id.

A pickle may be kept, mailed and read by others, so no token, key or password is ever in one. What
reads it finds the account again under its name, or uses the local runtime.
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
    """How a service is made again: arguments of its constructor, without anything secret.

    Attributes:
        channel: None where the environment or a saved account says it.
        instance: CRN or name, where it is another than the account's own.
        name: the saved account; None is the local runtime, or what the environment says.
        filename: where that is saved; None is qiskit-ibm-runtime's file.
        verify: whom to trust, where that is not what the account says.
        region: as the constructor's, likewise; so are the two that follow.
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
"""Services of this process that were sent or made again: one is found, and not made twice."""


def recipe(account: Account, name: str | None, filename: str | None) -> Recipe:
    """Say how a service of an account is made again.

    Args:
        account: the account.
        name: the saved account that it was made of, where that is known.
        filename: where that is saved; None is qiskit-ibm-runtime's file.

    Raises:
        InvalidInputError: where only its token would do: it is not saved under any name.
    """
    if account.channel == LOCAL and (account.url is None or _is_ones_own(account)):
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
        f"a service for {account.url or account.channel} whose token is kept nowhere cannot be "
        f"pickled, since the token would be in the pickle: {save}, here and where it is read"
    )


def _candidates(name: str | None, filename: str | None) -> list[tuple[Account, str | None]]:
    """List accounts that can be found again, and their names."""
    names: list[str | None] = [name] if name else [*accounts.saved_accounts(filename=filename)]
    found = [*((_found(each, filename), each) for each in names), (_found(None, None), None)]
    return [(account, told) for account, told in found if account is not None]


def _found(name: str | None, filename: str | None) -> Account | None:
    try:
        return find_account(name=name, filename=filename)
    except InvalidInputError:
        # It cannot be used by itself, as one without a token cannot: another may do.
        return None


def _is_ones_own(account: Account) -> bool:
    """Whether url and token are those of the runtime that this user would find or start."""
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
    """Have a service found where its recipe is read in this process."""
    with _lock:
        _made.setdefault(how, service)


def again(how: Recipe, make: Callable[..., _S]) -> _S:
    """Return the service of a recipe: this process's own, where it has one that is open.

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
