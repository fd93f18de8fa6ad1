"""The backends that the runtime serves: raw JSON of recorded devices and of two simulators.

Nothing here imports Qiskit, so that the server process stays light. The JSON is served as recorded,
but missing fields of a configuration are filled in, and what no job could use is left out.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from qsession_widget.support import structs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MOCK_PREFIX = "mock_"
SIMULATORS = ("aer_simulator", "ibmq_qasm_simulator")


PULSES = frozenset({"acquire", "play", "setf", "shiftf"})
"""Pulse instructions. Qiskit 2 has none, so no job could use them."""

_WITHOUT_A_LIST = ("measure", "reset", "delay")
"""The target's instructions besides gates, if a configuration does not list them."""

_SAMPLING_NS = {
    **dict.fromkeys(("burlington", "essex", "london"), 2 / 9),
    **dict.fromkeys(("cambridge", "rochester"), 10 / 23),
}
"""`dt` where it was not recorded: all recorded gate lengths are multiples of it."""

_SHORTEST_NS = 1e-6
"""Smallest `dt` in nanoseconds; smaller values were recorded in seconds."""

_UNRECORDED: dict[str, Any] = {"family": "unknown", "revision": "0"}


class UnknownDeviceError(ValueError):
    """A setting names a device that does not exist."""


class _Summary(msgspec.Struct):
    """What lists show of a configuration. The rest of its file is passed over."""

    n_qubits: int
    online_date: str


@dataclass(frozen=True)
class Device:
    """One backend: a recorded device, or a simulator.

    Attributes:
        name: the backend's name.
        folder: the recorded files of the device; None for a simulator.
        recorded_name: the recorded device; the backend's own name unless it is a copy, an alias or
            a mock.
        mock: whether it is the twin of a backend, for dry runs.
    """

    name: str
    folder: Path | None = None
    recorded_name: str = ""
    mock: bool = False

    def __post_init__(self) -> None:
        if not self.recorded_name:
            object.__setattr__(self, "recorded_name", self.name)

    @property
    def simulator(self) -> bool:
        """Whether it is an ideal simulator, and therefore has no sessions."""
        return self.folder is None

    @property
    def qubits(self) -> int:
        """Its number of qubits."""
        return self._summary.n_qubits

    @property
    def since(self) -> str:
        """The day on which it went online, as year, month and day."""
        return self._summary.online_date[:10]

    @property
    def stamp(self) -> tuple[int, ...]:
        """A value that changes when its files do, as by a new calibration."""
        if self.folder is None:
            return ()
        name = self.folder.name
        files = (self.folder / f"conf_{name}.json", self.folder / f"props_{name}.json")
        return tuple(file.stat().st_mtime_ns for file in files if file.exists())

    @property
    def _configuration_file(self) -> Path:
        if self.folder is None:
            return Path(__file__).with_name("simulator.json")
        return self.folder / f"conf_{self.folder.name}.json"

    @cached_property
    def _summary(self) -> _Summary:
        # A list of all devices must not hold up others' requests for as long as it takes to make
        # objects of everything in seventy files, which no thread shortens: the GIL is held.
        return structs.decode(self._configuration_file.read_bytes(), _Summary)

    @cached_property
    def configuration(self) -> dict[str, Any]:
        """JSON of GET /backends/{name}/configuration."""
        path = self._configuration_file
        recorded = msgspec.json.decode(path.read_bytes())
        return {
            **_completed(path.stem.removeprefix("conf_"), recorded),
            "backend_name": self.name,
        }

    @cached_property
    def properties(self) -> dict[str, Any]:
        """JSON of GET /backends/{name}/properties; empty for a simulator."""
        if self.folder is None:
            return {}
        path = self.folder / f"props_{self.folder.name}.json"
        return {**msgspec.json.decode(path.read_bytes()), "backend_name": self.name}


class Catalog:
    """The backends by name, found on disk once and read at their first use.

    Each backend `fake_x` has a twin `mock_x`, to which the official client sends dry runs. Lists
    leave the twins out unless asked for them.
    """

    def __init__(
        self,
        copies: Mapping[str, int] | None = None,
        aliases: Mapping[str, str] | None = None,
        devices: Sequence[str] = (),
    ) -> None:
        """Find the recorded devices.

        Args:
            copies: how many backends a device has: with 3, `fake_x`, `fake_x_2` and `fake_x_3`.
            aliases: further names, and the backend that each stands for, served or not.
            devices: the only backends to serve, besides copies and aliases; empty means all.

        Raises:
            UnknownDeviceError: a setting names a device that does not exist.
        """
        self._mocks: dict[str, Device] = {}
        self._devices = {name: Device(name) for name in SIMULATORS}
        for folder in sorted(_recorded_devices().iterdir()):
            if (folder / f"conf_{folder.name}.json").is_file():
                device = Device(f"fake_{folder.name}", folder)
                self._devices[device.name] = device
        recorded = frozenset(self._devices)
        for name, count in (copies or {}).items():
            for number in range(2, count + 1):
                self._add(f"{name}_{number}", name)
        for alias, name in (aliases or {}).items():
            self._add(alias, name)
        if devices:
            served = {*map(self._known, devices), *(aliases or ())}
            self._devices = {
                name: each
                for name, each in self._devices.items()
                if name in served or name not in recorded
            }
        for device in list(self._devices.values()):
            if not device.simulator:
                twin = MOCK_PREFIX + device.name.partition("_")[2]
                self._mocks.setdefault(twin, replace(device, name=twin, mock=True))

    def names(self, *, mocks: bool = False) -> list[str]:
        """Return all names, sorted; without those of mocks by default."""
        return sorted([*self._devices, *(self._mocks if mocks else ())])

    def in_order_of_choice(self, *, mocks: bool = False) -> list[Device]:
        """Return all backends, the best default first. This reads all configurations.

        IBM's client takes the first of the least busy. On IBM Quantum that is a large and recent
        device, as its guides expect. So the largest come first, among equals the newest, and
        simulators, which have no sessions, come last.
        """
        found = [*self._devices.values(), *(self._mocks.values() if mocks else ())]
        found.sort(key=lambda each: each.name)
        found.sort(key=lambda each: each.since, reverse=True)
        found.sort(key=lambda each: (each.simulator, -each.qubits))
        return found

    def get(self, name: str) -> Device | None:
        """Return a backend, None if it is not served."""
        return self._devices.get(name) or self._mocks.get(name)

    def _add(self, name: str, of: str) -> None:
        self._devices[name] = replace(self._devices[self._known(of)], name=name)

    def _known(self, name: str) -> str:
        if name not in self._devices:
            raise UnknownDeviceError(f"no device {name!r}; known are {', '.join(self.names())}")
        return name


def _completed(name: str, recorded: dict[str, Any]) -> dict[str, Any]:
    """Return a configuration with the fields that older recordings lack, and without pulses.

    The fields say what the runtime does. What only IBM knew, such as the type of a processor, is
    filled in as unknown.
    """
    gates = recorded["basis_gates"]
    listed = recorded.get("supported_instructions") or [*gates, *_WITHOUT_A_LIST]
    family = "simulator" if recorded["simulator"] else _UNRECORDED["family"]
    dt = recorded.get("dt", _SAMPLING_NS.get(name))
    if dt is not None and dt < _SHORTEST_NS:
        dt *= 1e9
    return {
        "processor_type": {**_UNRECORDED, "family": family},
        # A qubit may be measured more than once, as everywhere on Aer.
        "multi_meas_enabled": True,
        "supported_features": [],
        "meas_map": [[qubit] for qubit in range(recorded["n_qubits"])],
        **recorded,
        **({} if dt is None else {"dt": dt}),
        "supported_instructions": [name for name in listed if name not in PULSES],
    }


def _recorded_devices() -> Path:
    """Return the fake provider's folder, without importing its package, which takes seconds."""
    spec = importlib.util.find_spec("qiskit_ibm_runtime")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("qiskit-ibm-runtime is not installed: no recorded devices")
    return Path(spec.origin).parent / "fake_provider" / "backends"
