"""Builds a transpiler target from a backend's configuration and properties.

Both sides need it: the client to transpile for the backend, the runtime's workers to build its
noise. Field names: GET /backends/{name}/configuration and .../properties.
"""

from __future__ import annotations

import math
from typing import Any

from qiskit.circuit import ForLoopOp, Gate, IfElseOp, Instruction, Parameter, SwitchCaseOp
from qiskit.circuit.controlflow import WhileLoopOp
from qiskit.circuit.library.standard_gates import get_standard_gate_name_mapping
from qiskit.transpiler import InstructionProperties, QubitProperties, Target
from qiskit.utils.units import apply_prefix

CONTROL_FLOW = {
    "if_else": IfElseOp,
    "while_loop": WhileLoopOp,
    "for_loop": ForLoopOp,
    "switch_case": SwitchCaseOp,
}
NON_UNITARY = frozenset({"measure", "reset", "delay"})

Placement = dict[tuple[int, ...], InstructionProperties | None]
"""The qubits on which an instruction exists, with its error and duration."""


class MeasureProperties(InstructionProperties):
    """Measurement errors of a qubit, by the names that Aer looks for.

    A target itself has one number only, as if 0 and 1 were misread equally often.

    Attributes:
        prob_meas1_prep0: probability of reading 1 if 0 was prepared.
        prob_meas0_prep1: probability of reading 0 if 1 was prepared.
    """

    def __init__(
        self,
        duration: float | None,
        error: float | None,
        prob_meas1_prep0: float,
        prob_meas0_prep1: float,
    ) -> None:
        super().__init__(duration, error)
        self.prob_meas1_prep0 = prob_meas1_prep0
        self.prob_meas0_prep1 = prob_meas0_prep1

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy all values: the parent class only knows its own two."""
        probabilities = self.prob_meas1_prep0, self.prob_meas0_prep1
        return type(self), (self.duration, self.error, *probabilities)


def build_target(configuration: dict[str, Any], properties: dict[str, Any] | None) -> Target:
    """Build the target of a backend.

    Args:
        configuration: JSON of the configuration endpoint.
        properties: JSON of the properties endpoint; None or empty for a simulator.

    Returns:
        The target, with errors and durations (seconds) from the properties, and without the qubits
        and gates that the properties mark as not operational.
    """
    num_qubits = configuration["n_qubits"]
    properties = properties or {}
    qubits = [_values(entries) for entries in properties.get("qubits", [])]
    faulty = {index for index, values in enumerate(qubits) if values.get("operational", 1) == 0}
    working = [index for index in range(num_qubits) if index not in faulty]

    target = Target(
        num_qubits=num_qubits,
        dt=configuration["dt"] * 1e-9 if "dt" in configuration else None,
        qubit_properties=[
            QubitProperties(
                t1=values.get("T1"), t2=values.get("T2"), frequency=values.get("frequency")
            )
            for values in qubits
        ]
        or None,
        **configuration.get("timing_constraints", {}),
    )
    for name, instruction in _instructions(configuration).items():
        if name in CONTROL_FLOW:
            target.add_instruction(instruction, name=name)
            continue
        placement = _configured(configuration, name)
        measured = _measured(properties, name, faulty)
        if measured is not None:
            placement = {**(placement or {}), **measured}
        if placement is not None:
            broken = _broken(properties, name, faulty)
            placement = {where: what for where, what in placement.items() if where not in broken}
        if name == "measure" and qubits:
            placement = {(index,): _reading(qubits[index]) for index in working}
        if placement is None and name in NON_UNITARY:
            placement = {(index,): None for index in working}
        target.add_instruction(
            instruction,
            placement,
            name=name,
            # Fractional gates: the hardware takes rzz angles of the first quadrant only.
            angle_bounds=[(0, math.pi / 2)] if name == "rzz" else None,
        )
    return target


def _reading(qubit: dict[str, float]) -> InstructionProperties:
    """Return the properties of a qubit's measurement, with both errors if they were recorded."""
    duration, error = qubit.get("readout_length"), qubit.get("readout_error")
    of_zero, of_one = qubit.get("prob_meas1_prep0"), qubit.get("prob_meas0_prep1")
    if of_zero is None or of_one is None:
        return InstructionProperties(duration, error)
    return MeasureProperties(duration, error, of_zero, of_one)


def _values(entries: list[dict[str, Any]]) -> dict[str, float]:
    """Convert a list of `{name, unit, value}` to SI units."""
    return {
        entry["name"]: apply_prefix(entry["value"], entry["unit"])
        if entry.get("unit")
        else entry["value"]
        for entry in entries
    }


def _instructions(configuration: dict[str, Any]) -> dict[str, Any]:
    """Return all instructions of the device: standard gates, control flow, and its own."""
    standard = get_standard_gate_name_mapping()
    supported = set(configuration.get("supported_instructions") or NON_UNITARY)
    names = set(configuration["basis_gates"]) | (supported & (NON_UNITARY | set(CONTROL_FLOW)))
    own = {gate["name"]: gate for gate in configuration["gates"]}
    found: dict[str, Any] = {}
    for name in sorted(names):
        if name in CONTROL_FLOW:
            found[name] = CONTROL_FLOW[name]
        elif name in standard:
            found[name] = standard[name]
        elif name in own:
            coupling = own[name].get("coupling_map") or [[]]
            parameters = [Parameter(text) for text in own[name].get("parameters", [])]
            found[name] = Gate(name, len(coupling[0]), parameters)
    for signature in configuration.get("instruction_signatures") or []:
        found[signature["name"]] = Instruction(
            signature["name"],
            signature["num_qubits"],
            signature["num_clbits"],
            [Parameter(text) for text in signature["parameters"]],
        )
    return found


def _configured(configuration: dict[str, Any], name: str) -> Placement | None:
    """Return the qubits that the configuration lists for a gate; None if it lists none (all)."""
    for gate in configuration["gates"]:
        if gate["name"] == name and gate.get("coupling_map"):
            return {tuple(where): None for where in gate["coupling_map"]}
    return None


def _measured(properties: dict[str, Any], name: str, faulty: set[int]) -> Placement | None:
    """Return the qubits for which the properties have values; None if they have none."""
    entries = [gate for gate in properties.get("gates", []) if gate["gate"] == name]
    if not entries:
        return None
    placement: Placement = {}
    for gate in entries:
        values = _values(gate["parameters"])
        if faulty.isdisjoint(gate["qubits"]) and values.get("operational", 1) != 0:
            placement[tuple(gate["qubits"])] = InstructionProperties(
                error=values.get("gate_error"), duration=values.get("gate_length")
            )
    return placement


def _broken(properties: dict[str, Any], name: str, faulty: set[int]) -> set[tuple[int, ...]]:
    """Return the qubits on which the properties mark a gate as not operational."""
    return {
        tuple(gate["qubits"])
        for gate in properties.get("gates", [])
        if gate["gate"] == name
        and (
            not faulty.isdisjoint(gate["qubits"])
            or _values(gate["parameters"]).get("operational", 1) == 0
        )
    }
