"""Lists the backends of a service, and finds them by name or by what they have to be."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from qsession_widget.client.backends.backend import Backend
from qsession_widget.client.protocols import Service
from qsession_widget.errors import BackendNotFoundError, InvalidInputError, NotFoundError
from qsession_widget.support import validation
from qsession_widget.support.validation import given

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from qsession_widget.client.instances import Instances

    Entry = Mapping[str, Any]
    Configurations = dict[tuple[str | None, str], Entry]
    """Backends' configurations by instance and name."""

_S = TypeVar("_S", bound=Service)


@dataclass(frozen=True)
class Wanted:
    """What a backend has to be; None allows anything."""

    min_num_qubits: int | None
    simulator: bool | None
    dynamic_circuits: bool | None
    filters: Callable[[Backend], bool] | None
    attributes: Mapping[str, object]

    @classmethod
    def checked(
        cls,
        min_num_qubits: int | None,
        simulator: bool | None,
        dynamic_circuits: bool | None,
        filters: Callable[[Backend], bool] | None,
        attributes: Mapping[str, object],
    ) -> Wanted:
        """Check what a backend has to be.

        Raises:
            InvalidInputError: for a value that is not allowed.
        """
        return cls(
            given(validation.whole(0), "min_num_qubits", min_num_qubits),
            given(validation.boolean, "simulator", simulator),
            given(validation.boolean, "dynamic_circuits", dynamic_circuits),
            given(validation.function, "filters", filters),
            attributes,
        )

    def __str__(self) -> str:
        named = {each.name: getattr(self, each.name) for each in fields(self)[:-1]}
        said = {**named, **self.attributes}
        parts = [f"{name}={value!r}" for name, value in said.items() if value is not None]
        return ", ".join(parts) or "at all"

    def may_be(self, entry: Entry) -> bool:
        """Whether the entry in the list allows it, which saves asking for the configuration."""
        least = self.min_num_qubits or 0
        return bool(
            entry.get("qubits", least) >= least
            and (
                self.simulator is None
                or entry.get("is_simulator", self.simulator) == self.simulator
            )
        )

    def fits(self, backend: Backend) -> bool:
        """Whether a backend is as wanted."""
        configuration = backend.configuration()
        dynamic = "dynamic_circuits" in (configuration.get("supported_features") or ())
        return (
            (self.min_num_qubits is None or backend.num_qubits >= self.min_num_qubits)
            and (self.simulator is None or backend.simulator == self.simulator)
            and (self.dynamic_circuits is None or dynamic == self.dynamic_circuits)
            and all(configuration.get(key) == value for key, value in self.attributes.items())
            and (self.filters is None or self.filters(backend))
        )

    def check(self, backends: Sequence[Backend]) -> None:
        """Refuse an attribute that no configuration has: it would never match anything."""
        known = {key for backend in backends for key in backend.configuration()}
        unknown = sorted(self.attributes.keys() - known)
        if unknown and backends:
            raise InvalidInputError(
                f"no backend's configuration has {', '.join(unknown)}; there are "
                f"{', '.join(sorted(known))}"
            )


_ALIKE = 0.6
"""How alike a name has to be for "did you mean": as difflib's own default."""


class BackendSearch(Generic[_S]):
    """Searches the backends of every instance in use; of one that several have, the first's.

    Args:
        instances: the instances to search.
        configurations: the configurations known so far; all services of an account share them.
    """

    def __init__(self, instances: Instances[_S], configurations: Configurations) -> None:
        self._instances = instances
        self._configurations = configurations

    def all(
        self,
        wanted: Wanted,
        instance: str | None,
        *,
        name: str | None = None,
        operational: bool | None = None,
        use_fractional_gates: bool | None = None,
        include_mocks: bool = False,
    ) -> list[Backend]:
        """Return the backends that are as wanted, in the service's order, each once.

        The other arguments are those of `QiskitRuntimeService.backends`.

        Raises:
            InvalidInputError: for an unknown instance, and for an attribute that no backend's
                configuration has.
        """
        found = [
            (self._backend(service, entry["name"], use_fractional_gates), entry)
            for service, entry in self._entries(instance, mocks=include_mocks)
            if (name is None or entry["name"] == name)
            and (operational is None or _operational(entry) == operational)
            and wanted.may_be(entry)
        ]
        wanted.check([backend for backend, _ in found])
        return [backend for backend, _ in found if wanted.fits(backend)]

    def named(self, name: str, instance: str | None, use_fractional_gates: bool | None) -> Backend:
        """Return the backend of a name.

        Raises:
            BackendNotFoundError: if there is no backend of that name; the message lists those that
                exist, the nearest names first.
            InvalidInputError: for an unknown instance, and for fractional gates of a backend that
                has none.
        """
        try:
            found = self._instances.ask_until_found(
                lambda service: self._backend(service, name, use_fractional_gates), instance
            )
        except NotFoundError as error:
            names = sorted(entry["name"] for _, entry in self._entries(instance))
            closest = max(names, key=lambda other: _likeness(name, other), default=None)
            like = closest is not None and _likeness(name, closest) >= _ALIKE
            meant = f" Did you mean {closest!r}?" if like else ""
            raise BackendNotFoundError(
                f"no backend {name!r}.{meant} There are {', '.join(names) or 'none'}"
            ) from error
        if use_fractional_gates and not found.fractional_gates:
            raise InvalidInputError(f"use_fractional_gates=True: {name} has no such gates")
        return found

    def least_busy(
        self, wanted: Wanted, instance: str | None, use_fractional_gates: bool | None
    ) -> Backend:
        """Return the operational backend with the fewest waiting jobs, simulators last.

        Raises:
            BackendNotFoundError: if no backend is as wanted.
        """
        found = self._entries(instance)
        ready = [(service, entry) for service, entry in found if _operational(entry)]
        for service, entry in sorted(ready, key=lambda each: _busyness(each[1])):
            if wanted.may_be(entry):
                backend = self._backend(service, entry["name"], use_fractional_gates)
                if wanted.fits(backend):
                    return backend
        raise BackendNotFoundError(
            f"no operational backend fits {wanted}; there are "
            f"{', '.join(entry['name'] for _, entry in found) or 'none'}"
        )

    def _entries(self, instance: str | None, *, mocks: bool = False) -> list[tuple[_S, Entry]]:
        """Return each entry of GET /backends, with the service that has the backend."""
        found: dict[str, tuple[_S, Entry]] = {}
        for service, entries in self._instances.ask_each(
            lambda each: (each, each.api.backends(mocks=mocks)), instance
        ):
            for entry in entries:
                found.setdefault(entry["name"], (service, entry))
        return list(found.values())

    def _backend(self, service: _S, name: str, use_fractional_gates: bool | None) -> Backend:
        """Return a backend of a service's own instance."""
        key = (service.active_instance(), name)
        found = self._configurations.get(key)
        if found is None:
            found = self._configurations[key] = service.api.configuration(name)
        return Backend(service, found, use_fractional_gates)


def _operational(entry: Entry) -> bool:
    return bool((entry.get("status") or {}).get("name", "online") == "online")


def _busyness(entry: Entry) -> tuple[bool, int]:
    return bool(entry.get("is_simulator")), entry.get("queue_length") or 0


def _likeness(one: str, other: str) -> float:
    return difflib.SequenceMatcher(None, one.lower(), other.lower()).ratio()
