"""A backend's configuration and properties: JSON dicts with qiskit-ibm-runtime's attributes."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from qsession_widget.support.official import needed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_LONG_AGO = "1970-01-01T00:00:00Z"


class Record(dict[str, Any]):
    """JSON of a service with the attributes and methods of the object that IBM's client makes.

    As a dict it is the JSON in the wire's units: `record["dt"]` is in nanoseconds. Its attributes
    are those of the object, in the object's units: `record.dt` is in seconds. The object is made
    when an attribute is first used.

    Args:
        values: the JSON.
        make: makes the object from a copy of the JSON.
        made: holds the object once it is made; copies share it.
    """

    def __init__(
        self,
        values: Mapping[str, Any],
        make: Callable[[dict[str, Any]], Any],
        made: list[Any] | None = None,
    ) -> None:
        super().__init__(values)
        self._make = make
        self._made = [] if made is None else made

    def __getattr__(self, name: str) -> Any:
        # Called only for names that a dict does not have. Copying and pickling ask for some, too.
        if name.startswith("_"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return getattr(self.official(), name)

    def __copy__(self) -> Record:
        return type(self)(self, self._make, self._made)

    def __deepcopy__(self, memo: dict[int, Any]) -> Record:
        return type(self)(copy.deepcopy(dict(self), memo), self._make)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (dict(self), self._make)

    def official(self) -> Any:
        """Return the object of qiskit-ibm-runtime, made once for this and its copies."""
        if not self._made:
            self._made.append(self._make(copy.deepcopy(dict(self))))
        return self._made[0]


def configuration(values: Mapping[str, Any]) -> Record:
    """Return a backend's configuration, whose attributes are those of a `QasmBackendConfiguration`.

    Args:
        values: JSON of GET /backends/{name}/configuration.
    """
    return Record(values, _configuration)


def properties(values: Mapping[str, Any]) -> Record:
    """Return a backend's properties, whose attributes are those of a `BackendProperties`.

    Args:
        values: JSON of GET /backends/{name}/properties.
    """
    return Record(values, _properties)


def _configuration(values: dict[str, Any]) -> Any:
    with needed("A backend's configuration"):
        from qiskit_ibm_runtime.models import QasmBackendConfiguration
        from qiskit_ibm_runtime.utils.backend_decoder import decode_backend_configuration

    if values.get("online_date") is None:
        # It is required there, and optional here.
        values["online_date"] = _LONG_AGO
    decode_backend_configuration(values)
    return QasmBackendConfiguration.from_dict(values)


def _properties(values: dict[str, Any]) -> Any:
    with needed("A backend's properties"):
        from qiskit_ibm_runtime.utils.backend_decoder import properties_from_server_data

    return properties_from_server_data(values, use_fractional_gates=None)
