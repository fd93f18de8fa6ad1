"""Resolves the service and backend that the arguments of a session or primitive mean."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, cast

from qiskit.providers import BackendV2

from qsession_widget.client.backends.backend import Backend, backend_name
from qsession_widget.client.default_service import (
    adopted_service,
    default_is_at_ibm,
    default_service,
    local_service,
    name_the_default,
)
from qsession_widget.client.service import QiskitRuntimeService
from qsession_widget.errors import (
    BackendNotFoundError,
    InvalidInputError,
    QSessionError,
    ServiceError,
)
from qsession_widget.support.value_text import shown

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TypeGuard

    from qiskit_ibm_runtime import Session as OfficialSession


def is_backend(given: object) -> TypeGuard[str | BackendV2]:
    """Whether a value is a backend or the name of one."""
    return isinstance(given, (str, BackendV2))


def service_of(backend: str | BackendV2 | None) -> QiskitRuntimeService:
    """Return the service of a backend, if no service is named.

    Args:
        backend: a backend of ours; of qiskit-ibm-runtime, whose servers are used; or of its fake
            provider, which the local runtime serves under the same name. A name, or None, is on
            the default service. Names of recorded devices, which IBM's servers do not have, are on
            the local runtime if the default service is at IBM.
    """
    if isinstance(backend, Backend):
        # Backends know their service only as a `protocols.Service`.
        return cast("QiskitRuntimeService", backend.service)
    module = type(backend).__module__
    if module.startswith("qiskit_ibm_runtime.fake_provider"):
        return local_service()
    if isinstance(backend, str) and _only_local(backend) and default_is_at_ibm():
        return local_service()
    official = getattr(backend, "service", None) if module.startswith("qiskit_ibm_") else None
    if official is not None:
        return adopted_service(official, getattr(backend, "_instance", None))
    return default_service()


def _only_local(name: str) -> bool:
    return name.startswith("fake_") or name == "aer_simulator"


def service_for(service: object, backend: str | BackendV2 | None) -> QiskitRuntimeService:
    """Return the service that is named, or else that of the backend.

    Raises:
        InvalidInputError: for a service that is not one of ours.
    """
    if service is None:
        return service_of(backend)
    if not isinstance(service, QiskitRuntimeService):
        raise InvalidInputError(
            f"service={shown(service)} is not a QiskitRuntimeService of qsession_widget; "
            "a backend is given as Session(backend=...)"
        )
    return service


def backend_for(service: QiskitRuntimeService, backend: str | BackendV2 | None) -> Backend:
    """Return the backend that is named, or else the least busy one.

    Raises:
        BackendNotFoundError: if the service has no backend of that name.
    """
    if isinstance(backend, Backend) and service.uses(backend.service):
        return backend
    try:
        if backend is None:
            return service.least_busy(simulator=False)
        return service.backend(backend_name(backend))
    except QSessionError as error:
        name_the_default(error, service)
        raise


def same_backend_elsewhere(service: QiskitRuntimeService, backend: Backend) -> Iterator[Backend]:
    """Return the same backend in each further instance of an account that has it.

    Args:
        service: the service that was asked for the backend.
        backend: the backend of the first instance that has it.
    """
    for each in service.beside():
        if each is not backend.service:
            with suppress(ServiceError, BackendNotFoundError):
                yield each.backend(backend.name, each.active_instance())


def adopted_session(official: OfficialSession) -> tuple[str, QiskitRuntimeService]:
    """Return id and service of a session of qiskit-ibm-runtime.

    Raises:
        InvalidInputError: for anything else, including its local testing mode.
    """
    session_id = getattr(official, "session_id", None)
    if not type(official).__module__.startswith("qiskit_ibm_runtime.") or session_id is None:
        raise InvalidInputError(
            f"session={shown(official)} is not a session on a service; allowed are an id, a "
            "Session or Batch of qsession_widget, and one of qiskit-ibm-runtime that is not in "
            "local testing mode"
        )
    return str(session_id), adopted_service(official.service, getattr(official, "_instance", None))
