"""The part of the service that lists devices and finds them by name."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Self

from qsession_widget.client.backend import Backend, backend_name, no_calibration
from qsession_widget.client.instances import Instances
from qsession_widget.errors import BackendNotFoundError, InvalidInputError, NotFoundError
from qsession_widget.support import validation
from qsession_widget.support.validation import given

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from qsession_widget.transport.accounts import Account
    from qsession_widget.transport.http import Transport
    from qsession_widget.transport.ibm_cloud import Instance

    Entry = Mapping[str, Any]


class Devices(Instances):
    """Devices of every instance in use; of one that several have, the first instance's."""

    def _set_up(
        self, account: Account, transport: Transport, others: Sequence[Instance] = ()
    ) -> None:
        super()._set_up(account, transport, others)
        self._configurations: dict[str, Entry] = {}

    def backends(
        self,
        name: str | None = None,
        min_num_qubits: int | None = None,
        instance: str | None = None,
        dynamic_circuits: bool | None = None,
        filters: Callable[[Backend], bool] | None = None,
        *,
        simulator: bool | None = None,
        operational: bool | None = None,
        use_fractional_gates: bool | None = None,
        calibration_id: str | None = None,
        include_mocks: bool = False,
        **attributes: object,
    ) -> list[Backend]:
        """List devices, in the service's order, each once.

        Args:
            name: only the one of this name.
            min_num_qubits: only those with at least so many qubits.
            instance: only those of the instance with this CRN or name; None is the service's own,
                or all instances of the account where it was made without one.
            dynamic_circuits: only those that run dynamic circuits (True) or do not (False).
            filters: only those for which this function is true.
            simulator: only simulators (True) or only devices (False).
            operational: only those that take jobs now (True) or do not (False).
            use_fractional_gates: as for `backend`; None and False leave nothing out.
            calibration_id: nothing but None is allowed; for programs that say it.
            include_mocks: whether the devices' mocks are listed too, which dry runs go to.
            **attributes: only those whose configuration has these values, such as `n_qubits=5`.

        Raises:
            InvalidInputError: for a value that is not what it has to be, for an instance that
                there is not, and for an attribute that no device's configuration has.
        """
        no_calibration(calibration_id)
        name = given(validation.text, "name", name)
        operational = given(validation.boolean, "operational", operational)
        use_fractional_gates = given(
            validation.boolean, "use_fractional_gates", use_fractional_gates
        )
        include_mocks = validation.boolean("include_mocks", include_mocks)
        wanted = _wanted(min_num_qubits, simulator, dynamic_circuits, filters, attributes)
        found = [
            (service._device(entry["name"], use_fractional_gates), entry)  # noqa: SLF001 - of the same class
            for service, entry in self._entries(instance, mocks=include_mocks)
            if (name is None or entry["name"] == name)
            and (operational is None or _operational(entry) == operational)
            and wanted.may_be(entry)
        ]
        wanted.check([backend for backend, _ in found])
        return [backend for backend, _ in found if wanted.fits(backend)]

    def backend(
        self,
        name: str,
        instance: str | None = None,
        use_fractional_gates: bool | None = None,
        calibration_id: str | None = None,
    ) -> Backend:
        """Give one device.

        Args:
            name: its name.
            instance: as for `backends`.
            use_fractional_gates: whether its target has rx, rzz and other gates that turn by any
                angle. None: it has them, and yet bare circuits that are transpiled here, for IBM,
                do without, since it refuses some angles and most error suppression with them.
            calibration_id: nothing but None is allowed; for programs that say it.

        Raises:
            BackendNotFoundError: where there is none of that name; the message lists those that
                there are, the nearest names first.
            InvalidInputError: for an instance that there is not, and for fractional gates of a
                device that has none.
        """
        no_calibration(calibration_id)
        wanted = backend_name(name)
        use_fractional_gates = given(
            validation.boolean, "use_fractional_gates", use_fractional_gates
        )
        try:
            found = self._holder(
                lambda service: service._device(wanted, use_fractional_gates),  # noqa: SLF001 - of the same class
                instance,
            )
        except NotFoundError as error:
            names = sorted(
                (entry["name"] for _, entry in self._entries(instance)),
                key=lambda other: (-_likeness(wanted, other), other),
            )
            raise BackendNotFoundError(
                f"no backend {wanted!r}; there are {', '.join(names) or 'none'}"
            ) from error
        if use_fractional_gates and not found.fractional_gates:
            raise InvalidInputError(f"use_fractional_gates=True: {wanted} has no such gates")
        return found

    def least_busy(
        self,
        min_num_qubits: int | None = None,
        instance: str | None = None,
        filters: Callable[[Backend], bool] | None = None,
        use_fractional_gates: bool | None = None,
        *,
        simulator: bool | None = None,
        dynamic_circuits: bool | None = None,
        operational: bool = True,
        **attributes: object,
    ) -> Backend:
        """Give the operational device with the fewest waiting jobs.

        Of several, the first in the service's order; the local runtime puts the largest before the
        others, and the newest of them first. Simulators come after all devices, however busy.

        Args:
            min_num_qubits: only those with at least so many qubits.
            instance: as for `backends`.
            filters: only those for which this function is true.
            simulator: only simulators (True) or only devices (False).
            dynamic_circuits: as for `backends`.
            operational: nothing but True is allowed; for programs that say it.
            use_fractional_gates: as for `backend`.
            **attributes: as for `backends`.

        Raises:
            BackendNotFoundError: where none fits.
            InvalidInputError: as `backends`.
        """
        if not validation.boolean("operational", operational):
            raise InvalidInputError("operational=False: only a device that takes jobs is chosen")
        use_fractional_gates = given(
            validation.boolean, "use_fractional_gates", use_fractional_gates
        )
        wanted = _wanted(min_num_qubits, simulator, dynamic_circuits, filters, attributes)
        found = self._entries(instance)
        ready = [(service, entry) for service, entry in found if _operational(entry)]
        for service, entry in sorted(ready, key=lambda each: _busyness(each[1])):
            if wanted.may_be(entry):
                backend = service._device(entry["name"], use_fractional_gates)  # noqa: SLF001 - of the same class
                if wanted.fits(backend):
                    return backend
        raise BackendNotFoundError(
            f"no operational backend fits {wanted}; there are "
            f"{', '.join(entry['name'] for _, entry in found) or 'none'}"
        )

    def _entries(self, instance: str | None, *, mocks: bool = False) -> list[tuple[Self, Entry]]:
        """List what GET /backends says of each device, with the service that has it."""
        found: dict[str, tuple[Self, Entry]] = {}
        for service, entries in self._each(
            lambda each: (each, each.api.backends(mocks=mocks)), instance
        ):
            for entry in entries:
                found.setdefault(entry["name"], (service, entry))
        return list(found.values())

    def _device(self, name: str, use_fractional_gates: bool | None = None) -> Backend:
        """Give a device of this service's own instance."""
        configuration = self._configurations.get(name)
        if configuration is None:
            configuration = self._configurations[name] = self.api.configuration(name)
        return Backend(self._whole, configuration, use_fractional_gates)


@dataclass(frozen=True)
class _Wanted:
    """What a device has to be; None is anything."""

    min_num_qubits: int | None
    simulator: bool | None
    dynamic_circuits: bool | None
    filters: Callable[[Backend], bool] | None
    attributes: Mapping[str, object]

    def __str__(self) -> str:
        named = {each.name: getattr(self, each.name) for each in fields(self)[:-1]}
        said = {**named, **self.attributes}
        parts = [f"{name}={value!r}" for name, value in said.items() if value is not None]
        return ", ".join(parts) or "at all"

    def may_be(self, entry: Entry) -> bool:
        """Whether what the list says lets it be: that saves asking for the configuration."""
        least = self.min_num_qubits or 0
        return bool(
            entry.get("qubits", least) >= least
            and (
                self.simulator is None
                or entry.get("is_simulator", self.simulator) == self.simulator
            )
        )

    def fits(self, backend: Backend) -> bool:
        """Whether a device is what is wanted."""
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
        """Refuse a name that no configuration has: it would find nothing, for ever."""
        known = {key for backend in backends for key in backend.configuration()}
        unknown = sorted(self.attributes.keys() - known)
        if unknown and backends:
            raise InvalidInputError(
                f"no device's configuration has {', '.join(unknown)}; there are "
                f"{', '.join(sorted(known))}"
            )


def _wanted(
    min_num_qubits: int | None,
    simulator: bool | None,
    dynamic_circuits: bool | None,
    filters: Callable[[Backend], bool] | None,
    attributes: Mapping[str, object],
) -> _Wanted:
    """Check what a device has to be.

    Raises:
        InvalidInputError: for a value that is not allowed.
    """
    return _Wanted(
        given(validation.whole(0), "min_num_qubits", min_num_qubits),
        given(validation.boolean, "simulator", simulator),
        given(validation.boolean, "dynamic_circuits", dynamic_circuits),
        given(validation.function, "filters", filters),
        attributes,
    )


def _operational(entry: Entry) -> bool:
    return bool((entry.get("status") or {}).get("name", "online") == "online")


def _busyness(entry: Entry) -> tuple[bool, int]:
    return bool(entry.get("is_simulator")), entry.get("queue_length") or 0


def _likeness(one: str, other: str) -> float:
    return difflib.SequenceMatcher(None, one.lower(), other.lower()).ratio()
