"""The devices that the runtime serves: raw JSON of recorded devices and of two simulators.

Nothing here imports qiskit: the server process stays light, and the JSON goes out as recorded, but
for what a configuration lacks or says and no job could use.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MOCK_PREFIX = "mock_"
SIMULATORS = ("aer_simulator", "ibmq_qasm_simulator")


PULSES = frozenset({"acquire", "play", "setf", "shiftf"})
"""Instructions of pulses. Qiskit 2 has none, so nobody could send one."""

_WITHOUT_A_LIST = ("measure", "reset", "delay")
"""What the target has besides gates where a configuration has no `supported_instructions`."""

_SAMPLING_NS = {
    **dict.fromkeys(("burlington", "essex", "london"), 2 / 9),
    **dict.fromkeys(("cambridge", "rochester"), 10 / 23),
}
"""`dt` where it was not recorded: what all recorded lengths of gates are multiples of."""

_SHORTEST_NS = 1e-6
"""Of a `dt` in nanoseconds: what is less was written down in seconds."""

_UNRECORDED: dict[str, Any] = {"family": "unknown", "revision": "0"}


class UnknownDeviceError(ValueError):
    """A setting names a device that does not exist."""


class _Summary(msgspec.Struct):
    """What lists show of a configuration. The rest of its file is passed over."""

    n_qubits: int
    online_date: str


@dataclass(frozen=True)
class Device:
    """One device or simulator.

    Attributes:
        name: name under which it is served.
        folder: recorded files of a device; None for a simulator.
        recorded_name: the device whose recording this is; its own name unless it is a copy, an
            alias or a mock.
        mock: whether it is the twin of a device, for dry runs.
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
        """Whether it is ideal, and therefore has no sessions."""
        return self.folder is None

    @property
    def qubits(self) -> int:
        """How many qubits it has."""
        return self._summary.n_qubits

    @property
    def since(self) -> str:
        """The day on which it went online, as IBM wrote it: year, month, day."""
        return self._summary.online_date[:10]

    @property
    def stamp(self) -> tuple[int, ...]:
        """What changes when its files do, as by a new calibration."""
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
        return msgspec.json.decode(self._configuration_file.read_bytes(), type=_Summary)

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
    """The devices by name, found on disk once and read when they are asked for.

    Beside each device `fake_x` there is its twin `mock_x`, to which the official client sends dry
    runs. Nothing lists the twins unless it is asked to.
    """

    def __init__(
        self,
        copies: Mapping[str, int] | None = None,
        aliases: Mapping[str, str] | None = None,
        devices: Sequence[str] = (),
    ) -> None:
        """Find the devices.

        Args:
            copies: how many there are of a device: with 3, `fake_x`, `fake_x_2` and `fake_x_3`.
            aliases: further names, and the device that each stands for, served or not.
            devices: the only ones to serve, besides copies and aliases; without any, all.

        Raises:
            UnknownDeviceError: for a device, a copy or an alias of what does not exist.
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
        """Every name, sorted; those of the mocks only if they are asked for."""
        return sorted([*self._devices, *(self._mocks if mocks else ())])

    def in_order_of_choice(self, *, mocks: bool = False) -> list[Device]:
        """Every device, first those that a program that names none is best served with.

        IBM's client takes the first of the least busy. On IBM Quantum that is a large and recent
        device, as its guides expect: so the largest come first, of equals the newest, and
        simulators, which have no sessions, come last. This reads the devices' files.
        """
        found = [*self._devices.values(), *(self._mocks.values() if mocks else ())]
        found.sort(key=lambda each: each.name)
        found.sort(key=lambda each: each.since, reverse=True)
        found.sort(key=lambda each: (each.simulator, -each.qubits))
        return found

    def get(self, name: str) -> Device | None:
        """One device, or None."""
        return self._devices.get(name) or self._mocks.get(name)

    def _add(self, name: str, of: str) -> None:
        self._devices[name] = replace(self._devices[self._known(of)], name=name)

    def _known(self, name: str) -> str:
        if name not in self._devices:
            raise UnknownDeviceError(f"no device {name!r}; known are {', '.join(self.names())}")
        return name


def _completed(name: str, recorded: dict[str, Any]) -> dict[str, Any]:
    """Give a configuration with what all devices say today, and without what cannot run.

    Older recordings lack what was not known of yet. What is filled in is what the runtime does for
    them; of what only IBM knew, such as the make of a processor, it says that it is not known.
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
    """Find the fake provider's folder without importing its package, which takes seconds."""
    spec = importlib.util.find_spec("qiskit_ibm_runtime")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("qiskit-ibm-runtime is not installed: no recorded devices")
    return Path(spec.origin).parent / "fake_provider" / "backends"
