"""The devices that the runtime serves: raw JSON of recorded devices and of two simulators.

Nothing here imports qiskit: the server process stays light, and the JSON goes out as recorded.
"""

from __future__ import annotations

import importlib.util
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

SIMULATORS = ("aer_simulator", "ibmq_qasm_simulator")


@dataclass(frozen=True)
class Device:
    """One device or simulator.

    Attributes:
        name: name under which it is served.
        folder: recorded files of a device; None for a simulator.
    """

    name: str
    folder: Path | None = None

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
    """The devices by name, found on disk once and read when they are asked for."""

    def __init__(self) -> None:
        self.reread()

    def reread(self) -> None:
        """Find the devices again, and forget what was read of them."""
        self._devices = {name: Device(name) for name in SIMULATORS}
        for folder in sorted(_recorded_devices().iterdir()):
            if (folder / f"conf_{folder.name}.json").is_file():
                device = Device(f"fake_{folder.name}", folder)
                self._devices[device.name] = device

    def names(self) -> list[str]:
        """Every name, sorted."""
        return sorted(self._devices)

    def get(self, name: str) -> Device | None:
        """One device, or None."""
        return self._devices.get(name)


def _recorded_devices() -> Path:
    """Find the fake provider's folder without importing its package, which takes seconds."""
    spec = importlib.util.find_spec("qiskit_ibm_runtime")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("qiskit-ibm-runtime is not installed: no recorded devices")
    return Path(spec.origin).parent / "fake_provider" / "backends"
