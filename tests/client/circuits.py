"""Circuits that many tests run."""

from __future__ import annotations

import math
from typing import Any

from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
from qiskit.circuit import Parameter


def bell() -> QuantumCircuit:
    """Return the documented example: a named circuit with named registers."""
    circuit = QuantumCircuit(QuantumRegister(2, "qr"), ClassicalRegister(2, "cr"), name="bell")
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.measure([0, 1], [0, 1])
    return circuit


def measured_bell() -> QuantumCircuit:
    """Return the same state, with all qubits measured into the register `meas`."""
    circuit = QuantumCircuit(2, name="bell")
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.measure_all()
    return circuit


def heavy() -> QuantumCircuit:
    """Return a circuit of 20 qubits that takes minutes, all of them inside of one call of Aer."""
    circuit = QuantumCircuit(20)
    for _ in range(1_000):
        circuit.rx(0.3, range(20))
        for qubit in range(19):
            circuit.cx(qubit, qubit + 1)
    circuit.measure_all()
    return circuit


def rotated() -> QuantumCircuit:
    """Return cos(a/2)|0> + sin(a/2)|1> with a phase b: <Z> = cos a, <X> = sin a cos b."""
    circuit = QuantumCircuit(1)
    circuit.ry(Parameter("a"), 0)
    circuit.rz(Parameter("b"), 0)
    return circuit


def excited(*wait: Any, unit: str | None = None) -> QuantumCircuit:
    """Excite a qubit, wait, and read it."""
    circuit = QuantumCircuit(1, 1)
    # Not a gate of the device, so that the circuit is transpiled.
    circuit.ry(math.pi, 0)
    circuit.delay(*wait, 0, unit=unit)
    circuit.measure(0, 0)
    return circuit
