"""Accounts in the file that qiskit-ibm-runtime keeps: saving, listing and deleting them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qsession_widget.client import connect
from qsession_widget.support import validation
from qsession_widget.support.validation import given
from qsession_widget.transport import accounts
from qsession_widget.transport.accounts import IBM_CHANNELS, Account, check_which

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from qsession_widget.transport.accounts import Proxies


def save_account(  # noqa: PLR0917 - the order of qiskit-ibm-runtime
    token: str | None = None,
    url: str | None = None,
    instance: str | None = None,
    channel: str | None = None,
    filename: str | Path | None = None,
    name: str | None = None,
    proxies: Proxies | None = None,
    verify: bool | str | Path | None = None,
    *,
    overwrite: bool = False,
    set_as_default: bool = False,
    private_endpoint: bool | None = None,
    region: str | None = None,
    plans_preference: Sequence[str] | None = None,
    tags: Sequence[str] | None = None,
) -> str:
    """Save an account in the file where qiskit-ibm-runtime saves and finds its own.

    Args:
        token: API key of IBM.
        url: root of the service; None is IBM's.
        instance: CRN or name of the instance, or "auto".
        channel: "ibm_quantum_platform", which is also what None means, or "ibm_cloud".
        filename: file to save it in, instead of qiskit-ibm-runtime's.
        name: name to save it under; None is the channel's default name.
        proxies: as for the constructor.
        verify: as for the constructor.
        overwrite: whether it may replace an account of that name, and another default.
        set_as_default: whether it is used where no account is named.
        private_endpoint: as for the constructor.
        region: as for the constructor.
        plans_preference: as for the constructor.
        tags: as for the constructor.

    Returns:
        Its name.

    Raises:
        InvalidInputError: for an account that cannot be used, and if one of that name exists.
    """
    check_which(channel, name, filename)
    given(validation.text, "instance", instance)
    account = Account(channel or IBM_CHANNELS[0], token, url, instance).with_changes(
        proxies=connect.proxies_of(proxies),
        verify=connect.verify_of(verify),
        private_endpoint=given(validation.boolean, "private_endpoint", private_endpoint),
        region=region,
        plans_preference=given(validation.texts, "plans_preference", plans_preference),
        tags=given(validation.texts, "tags", tags),
    )
    return accounts.save_account(
        account,
        name=name,
        filename=filename,
        overwrite=overwrite,
        set_as_default=set_as_default,
    )


def saved_accounts(
    default: bool | None = None,
    channel: str | None = None,
    filename: str | Path | None = None,
    name: str | None = None,
) -> dict[str, dict[str, Any]]:
    """Return the saved accounts by name, without their tokens.

    Args:
        default: only the account that is used where none is named (True), or all others
            (False).
        channel: only those of this channel.
        filename: file to read, instead of qiskit-ibm-runtime's.
        name: only the account of this name.
    """
    default = given(validation.boolean, "default", default)
    found = accounts.saved_accounts(channel=channel, name=name, filename=filename)
    if default is None:
        return found
    return {
        each: entry
        for each, entry in found.items()
        if bool(entry.get("is_default_account")) == default
    }


def delete_account(
    filename: str | Path | None = None, name: str | None = None, channel: str | None = None
) -> bool:
    """Delete a saved account, and return whether there was one.

    Args:
        filename: file to delete it from, instead of qiskit-ibm-runtime's.
        name: its name; None is the channel's default name.
        channel: the channel whose default name is meant.
    """
    return accounts.delete_account(name=name, channel=channel, filename=filename)
