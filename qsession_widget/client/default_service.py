"""The service that is used where none is named, and services for those of qiskit-ibm-runtime."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from qsession_widget.client import connect, service
from qsession_widget.client.kept_service import KeptService
from qsession_widget.client.service import QiskitRuntimeService
from qsession_widget.errors import InvalidInputError, QSessionError
from qsession_widget.support import forking
from qsession_widget.transport.accounts import IBM_URL, LOCAL, find_account, where_found
from qsession_widget.transport.auth import is_ibm

if TYPE_CHECKING:
    import qiskit_ibm_runtime as official_package

    from qsession_widget.transport.accounts import Account

_ADOPTED_KEPT = 32
"""How many services are kept for services of qiskit-ibm-runtime."""

_local: KeptService[QiskitRuntimeService] = KeptService()
"""The service on the local runtime, if the default account is at IBM."""

_adopted_lock = forking.Lock()
_adopted: dict[tuple[str, Account], QiskitRuntimeService] = {}
"""Our services for services of qiskit-ibm-runtime, by address and account."""


def default_service() -> QiskitRuntimeService:
    """Return the service that is used where none is named, made at the first call.

    That is the runtime that was joined last by its url, if one was.
    """
    known = service.kept_default.get()
    if known is not None:
        return known
    try:
        made = QiskitRuntimeService()
    except QSessionError as error:
        name_the_default(error)
        raise
    return service.kept_default.keep(made)


def name_the_default(error: QSessionError, asked: QiskitRuntimeService | None = None) -> None:
    """Add a note to an error that says which account was used, if the user named none.

    Args:
        error: the error.
        asked: the service that was asked; no note is added unless it is the default one. None is
            the default service, which could not be made.
    """
    if asked is not None and asked is not service.kept_default.get():
        return
    with suppress(InvalidInputError):
        account = find_account()
        if account.channel != LOCAL:
            error.add_note(
                f"This request used {where_found()}, since no service was named. The local "
                "runtime needs no account: QiskitRuntimeService('local'), as in "
                "Session(QiskitRuntimeService('local'), 'fake_manila')."
            )


def default_is_at_ibm() -> bool:
    """Whether the default service is at IBM's own servers; no request is sent to find out."""
    made = service.kept_default.get()
    if made is not None:
        return not made.is_local and is_ibm(made.active_account()["url"])
    account = find_account()
    return account.channel != LOCAL and is_ibm(account.url or IBM_URL)


def local_service() -> QiskitRuntimeService:
    """Return this process's service on the local runtime, whatever account is the default."""
    # IBM's servers are not asked: they may be out of reach, and are not needed for this.
    default = service.kept_default.get()
    for known in (default, _local.get()):
        if known is not None and known.is_local:
            return known
    with suppress(InvalidInputError):
        if default is None and find_account().channel == LOCAL:
            return default_service()
    return _local.keep(QiskitRuntimeService(LOCAL))


def adopted_service(
    official: official_package.QiskitRuntimeService, instance: str | None = None
) -> QiskitRuntimeService:
    """Return our service for the servers that a service of qiskit-ibm-runtime talks to.

    Args:
        official: a `qiskit_ibm_runtime.QiskitRuntimeService`.
        instance: CRN of the instance; None is the official service's active one.

    Raises:
        InvalidInputError: for anything else, including its local testing mode.
    """
    account, transport = connect.of_official(official, instance)
    with _adopted_lock:
        known = _adopted.get((transport.url, account))
        if known is None or known.closed:
            known = QiskitRuntimeService._for_account(  # noqa: SLF001 - for this function alone
                account, transport, official
            )
            _adopted[transport.url, account] = known
            while len(_adopted) > _ADOPTED_KEPT:
                _adopted.pop(next(iter(_adopted)))
        return known
