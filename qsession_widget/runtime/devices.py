"""The devices that the runtime serves: raw JSON of recorded devices and of two simulators.

Nothing here imports qiskit: the server process stays light, and the JSON goes out as recorded.
"""

from __future__ import annotations

import importlib.util
import json
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

MOCK_PREFIX = "mock_"
SIMULATORS = ("aer_simulator", "ibmq_qasm_simulator")


class UnknownDeviceError(ValueError):
    """A setting names a device that does not exist."""


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
        return int(self.configuration["n_qubits"])

    @property
    def stamp(self) -> tuple[int, ...]:
        """What changes when its files do, as by a new calibration."""
        if self.folder is None:
            return ()
        name = self.folder.name
        files = (self.folder / f"conf_{name}.json", self.folder / f"props_{name}.json")
        return tuple(file.stat().st_mtime_ns for file in files if file.exists())

    @cached_property
    def configuration(self) -> dict[str, Any]:
        """JSON of GET /backends/{name}/configuration."""
        if self.folder is None:
            path = Path(__file__).with_name("simulator.json")
        else:
            path = self.folder / f"conf_{self.folder.name}.json"
        return {**json.loads(path.read_text()), "backend_name": self.name}

    @cached_property
    def properties(self) -> dict[str, Any]:
        """JSON of GET /backends/{name}/properties; empty for a simulator."""
        if self.folder is None:
            return {}
        path = self.folder / f"props_{self.folder.name}.json"
        return {**json.loads(path.read_text()), "backend_name": self.name}


class Catalog:
    """The devices by name, found on disk once and read when they are asked for.

    Beside each device `fake_x` there is its twin `mock_x`, to which the official client sends dry
    runs. Nothing lists the twins unless it is asked to.
    """

    def __init__(
        self, copies: Mapping[str, int] | None = None, aliases: Mapping[str, str] | None = None
    ) -> None:
        """Find the devices.

        Args:
            copies: how many there are of a device: with 3, `fake_x`, `fake_x_2` and `fake_x_3`.
            aliases: further names, and the device that each stands for.

        Raises:
            UnknownDeviceError: for a copy or an alias of what does not exist.
        """
        self._mocks: dict[str, Device] = {}
        self._devices = {name: Device(name) for name in SIMULATORS}
        for folder in sorted(_recorded_devices().iterdir()):
            if (folder / f"conf_{folder.name}.json").is_file():
                device = Device(f"fake_{folder.name}", folder)
                self._devices[device.name] = device
        for name, count in (copies or {}).items():
            for number in range(2, count + 1):
                self._add(f"{name}_{number}", name)
        for alias, name in (aliases or {}).items():
            self._add(alias, name)
        for device in list(self._devices.values()):
            if not device.simulator:
                twin = MOCK_PREFIX + device.name.partition("_")[2]
                self._mocks.setdefault(twin, replace(device, name=twin, mock=True))

    def names(self, *, mocks: bool = False) -> list[str]:
        """Every name, sorted; those of the mocks only if they are asked for."""
        return sorted([*self._devices, *(self._mocks if mocks else ())])

    def get(self, name: str) -> Device | None:
        """One device, or None."""
        return self._devices.get(name) or self._mocks.get(name)

    def _add(self, name: str, of: str) -> None:
        original = self._devices.get(of)
        if original is None:
            raise UnknownDeviceError(f"no device {of!r}; known are {', '.join(self.names())}")
        self._devices[name] = replace(original, name=name)


def _recorded_devices() -> Path:
    """Find the fake provider's folder without importing its package, which takes seconds."""
    spec = importlib.util.find_spec("qiskit_ibm_runtime")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("qiskit-ibm-runtime is not installed: no recorded devices")
    return Path(spec.origin).parent / "fake_provider" / "backends"
