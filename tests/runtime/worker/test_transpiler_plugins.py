"""Workers transpile with Qiskit's own plugins, and import no other package's for that."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import distribution

from qsession_widget.runtime.worker import transpiler_plugins

PROGRAM = """
import json, sys
from qiskit.circuit.library import efficient_su2
from qsession_widget.runtime.worker import transpiler_plugins
from qsession_widget.runtime.worker.device import SimulatedDevice
if {only}:
    transpiler_plugins.use_only_qiskits_own()
circuit = efficient_su2(4, reps=1).decompose()
for angle in (0.3, 2.5, -1.0, 7.0):
    circuit.rzz(angle, 0, 1)
circuit.measure_all()
found = []
for device in ("fake_manila", "fake_fez", "aer_simulator"):
    for level in range(4):
        made = SimulatedDevice(device, level).runnable(circuit).circuit
        found += [[each.name, [made.find_bit(bit).index for bit in each.qubits]] for each in made]
print(json.dumps([found, "qiskit_ibm_runtime.qiskit_runtime_service" in sys.modules]))
"""


def transpiled(*, only: bool) -> tuple[list[object], bool]:
    command = [sys.executable, "-c", PROGRAM.format(only=only)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 - ours
    found, imported = json.loads(done.stdout)
    return found, imported


def test_circuits_are_the_same_without_plugins_of_others() -> None:
    with_all, imported = transpiled(only=False)
    assert imported, "qiskit-ibm-runtime has no plugins any more: this module is of no use"
    with_own, imported = transpiled(only=True)
    assert not imported
    assert with_own == with_all


def test_no_group_of_plugins_is_forgotten() -> None:
    groups = {each.group for each in distribution("qiskit").entry_points}
    plugins = {each for each in groups if each.startswith("qiskit.")}
    assert plugins == set(transpiler_plugins._GROUPS)
