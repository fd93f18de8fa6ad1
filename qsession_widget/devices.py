"""The part of the service that lists devices and finds them by name."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any, Self

from qsession_widget.backend import Backend, backend_name
from qsession_widget.errors import BackendNotFoundError, NotFoundError
from qsession_widget.instances import Instances

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from qsession_widget.accounts import Account
    from qsession_widget.transport.cloud import Instance
    from qsession_widget.transport.http import Transport

    Entry = Mapping[str, Any]

_FIRST_CHOICE = "fake_manila"
"""Which of equally busy devices is taken first: the small one, whose jobs are over soonest."""


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
        simulator: bool | None = None,
        operational: bool | None = None,
        filters: Callable[[Backend], bool] | None = None,
        *,
        instance: str | None = None,
    ) -> list[Backend]:
        """List devices, in the service's order, each once.

        Args:
            name: only the one of this name.
            min_num_qubits: only those with at least so many qubits.
            simulator: only simulators (True) or only devices (False).
            operational: only those that take jobs now (True) or do not (False).
            filters: only those for which this function is true.
            instance: only those of the instance with this CRN or name; None is the service's own,
                or all instances of the account where it was made without one.

        Raises:
            InvalidInputError: for an instance that there is not.
        """
        return [
            backend
            for service, entry in self._entries(instance)
            if (name is None or entry["name"] == name)
            and (operational is None or _operational(entry) == operational)
            and (backend := service._fitting(entry, min_num_qubits, simulator, filters))  # noqa: SLF001 - of the same class
        ]

    def backend(self, name: str, instance: str | None = None) -> Backend:
        """Give one device.

        Args:
            name: its name.
            instance: as for `backends`.

        Raises:
            BackendNotFoundError: where there is none of that name; the message lists those that
                there are, the nearest names first.
            InvalidInputError: for an instance that there is not.
        """
        wanted = backend_name(name)
        try:
            return self._holder(lambda service: service._device(wanted), instance)  # noqa: SLF001 - of the same class
        except NotFoundError as error:
            names = sorted(
                (entry["name"] for _, entry in self._entries(instance)),
                key=lambda other: (-_likeness(wanted, other), other),
            )
            raise BackendNotFoundError(
                f"no backend {wanted!r}; there are {', '.join(names) or 'none'}"
            ) from error

    def least_busy(
        self,
        min_num_qubits: int | None = None,
        simulator: bool | None = None,
        filters: Callable[[Backend], bool] | None = None,
        *,
        instance: str | None = None,
    ) -> Backend:
        """Give the operational device with the fewest waiting jobs.

        Of several, the first by name, but before all others `fake_manila`.

        Args:
            min_num_qubits: only those with at least so many qubits.
            simulator: only simulators (True) or only devices (False).
            filters: only those for which this function is true.
            instance: as for `backends`.

        Raises:
            BackendNotFoundError: where none fits.
            InvalidInputError: for an instance that there is not.
        """
        found = self._entries(instance)
        ready = [(service, entry) for service, entry in found if _operational(entry)]
        for service, entry in sorted(ready, key=lambda each: _busyness(each[1])):
            backend = service._fitting(entry, min_num_qubits, simulator, filters)  # noqa: SLF001 - of the same class
            if backend is not None:
                return backend
        raise BackendNotFoundError(
            f"no operational backend fits min_num_qubits={min_num_qubits}, simulator={simulator}"
            f"{', filters' if filters else ''}; there are "
            f"{', '.join(entry['name'] for _, entry in found) or 'none'}"
        )

    def _entries(self, instance: str | None) -> list[tuple[Self, Entry]]:
        """List what GET /backends says of each device, with the service that has it."""
        found: dict[str, tuple[Self, Entry]] = {}
        for service, entries in self._each(lambda each: (each, each.api.backends()), instance):
            for entry in entries:
                found.setdefault(entry["name"], (service, entry))
        return list(found.values())

    def _device(self, name: str) -> Backend:
        """Give a device of this service's own instance."""
        configuration = self._configurations.get(name)
        if configuration is None:
            configuration = self._configurations[name] = self.api.configuration(name)
        return Backend(self._whole, configuration)

    def _fitting(
        self,
        entry: Entry,
        min_num_qubits: int | None,
        simulator: bool | None,
        filters: Callable[[Backend], bool] | None,
    ) -> Backend | None:
        # What the list says already saves asking for the whole configuration.
        if entry.get("qubits", min_num_qubits or 0) < (min_num_qubits or 0):
            return None
        if simulator is not None and entry.get("is_simulator", simulator) != simulator:
            return None
        backend = self._device(entry["name"])
        fits = (
            (min_num_qubits is None or backend.num_qubits >= min_num_qubits)
            and (simulator is None or backend.simulator == simulator)
            and (filters is None or filters(backend))
        )
        return backend if fits else None


def _operational(entry: Entry) -> bool:
    return bool((entry.get("status") or {}).get("name", "online") == "online")


def _busyness(entry: Entry) -> tuple[int, bool, str]:
    return entry.get("queue_length") or 0, entry["name"] != _FIRST_CHOICE, entry["name"]


def _likeness(one: str, other: str) -> float:
    return difflib.SequenceMatcher(None, one.lower(), other.lower()).ratio()
