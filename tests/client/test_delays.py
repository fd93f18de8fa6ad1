"""Delays last as long as their units say, wherever they are in a circuit."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import (
    Delay,
    Duration,
    Parameter,
)
from qiskit.circuit.classical import expr

from qsession_widget import (
    InvalidInputError,
    JobFailedError,
    Sampler,
)
from qsession_widget.client.default_service import default_service
from tests.client.circuits import excited
from tests.client.spy import requests_seen

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.usefixtures("runtime")

DEVICE = "fake_manila"
A = Parameter("a")


def nested(*wait: Any, unit: str) -> QuantumCircuit:
    circuit = QuantumCircuit(1, 1)
    circuit.x(0)
    with circuit.if_test((circuit.clbits[0], 0)):
        circuit.delay(*wait, 0, unit=unit)
    circuit.measure(0, 0)
    return circuit


def wrapped(*wait: Any, unit: str, branch: bool = False) -> QuantumCircuit:
    """Wait inside a custom instruction inside another one."""
    inner = QuantumCircuit(1, name="waits")
    inner.delay(*wait, 0, unit=unit)
    outer = QuantumCircuit(1, name="waits too")
    outer.append(inner.to_instruction(), [0])
    circuit = QuantumCircuit(1, 1)
    circuit.x(0)
    if branch:
        with circuit.if_test((circuit.clbits[0], 0)):
            circuit.append(outer.to_instruction(), [0])
    else:
        circuit.append(outer.to_instruction(), [0])
    circuit.measure(0, 0)
    return circuit


SHOTS = 4000
FIVE_SIGMA = 5 * math.sqrt(0.25 / SHOTS)
"""In standard deviations: wrong once in two million comparisons."""


def excitement(result: Any) -> float:
    return float(result.data.c.get_counts().get("1", 0) / SHOTS)


def test_a_delay_lasts_as_long_as_its_unit_says(place: str) -> None:
    device = default_service().backend(DEVICE)
    t1 = device.target.qubit_properties[0].t1
    lengths = {"dt": round(t1 / device.dt), "s": t1, "ms": t1 * 1e3, "us": t1 * 1e6}
    lengths |= {"ns": t1 * 1e9, "ps": t1 * 1e12}
    circuits = [excited(length, unit=unit) for unit, length in lengths.items()]
    circuits.append(excited(expr.mul(Duration.us(t1 * 1e6), 1.0)))
    circuits.append(wrapped(t1 * 1e9, unit="ns"))
    if place == "local":
        # In the other place, the device runs no branches.
        circuits.append(nested(t1 * 1e6, unit="us"))
        circuits.append(wrapped(t1 * 1e3, unit="ms", branch=True))
        circuits.append(excited(expr.add(Duration.us(t1 * 0.5e6), Duration.ns(t1 * 0.5e9))))
    # One circuit without a delay shows the errors of readout and gate.
    sampler = Sampler(DEVICE, {"optimization_level": 0, "seed": 5})
    results = sampler.run([excited(0), excited(5 * t1, unit="s"), *circuits], shots=SHOTS).result()
    ready, decayed, *waited = map(excitement, results)
    expected = decayed + (ready - decayed) * (math.exp(-1) - math.exp(-5)) / (1 - math.exp(-5))
    assert ready > 0.9
    assert decayed < 0.1
    for found in waited:
        assert abs(found - expected) < FIVE_SIGMA, waited


def test_a_delay_may_be_a_parameter() -> None:
    device = default_service().backend(DEVICE)
    t1 = device.target.qubit_properties[0].t1
    lengths = [0.0, t1 * 1e6, 3 * t1 * 1e6]
    for unit, scale in (("us", 1.0), ("ns", 1e3)):
        sweep = (excited(2 * A, unit=unit), np.array([[each * scale / 2] for each in lengths]))
        inside = (wrapped(2 * A, unit=unit), sweep[1])
        fixed = [excited(each * scale, unit=unit) for each in lengths]
        job = Sampler(device, {"optimization_level": 1}).run([sweep, inside, *fixed], shots=SHOTS)
        swept, swept_inside, *alone = job.result()
        for place, each in enumerate(alone):
            for sample in (swept, swept_inside):
                found = sample.data.c[place].get_counts().get("1", 0) / SHOTS
                assert abs(found - excitement(each)) < math.sqrt(2) * FIVE_SIGMA


@pytest.mark.parametrize(
    ("unit", "length", "said"),
    [("us", -5.0, "Found -5.0"), ("dt", 100.5, "whole numbers"), ("dt", 1e30, "lengths up to")],
)
@pytest.mark.parametrize("build", [excited, nested, wrapped])
def test_invalid_delays_are_refused(
    build: Callable[..., QuantumCircuit], unit: str, length: float, said: str
) -> None:
    job = Sampler(DEVICE).run([(build(A, unit=unit), [length])], shots=10)
    with pytest.raises(JobFailedError, match=f"a delay .*{said}"):
        job.result()


def test_delays_that_ibm_cannot_run_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    sampler = Sampler(DEVICE)
    monkeypatch.setattr(default_service(), "_features", frozenset())
    seen = requests_seen(monkeypatch)
    with pytest.raises(InvalidInputError, match=r"depends on parameters.*assign_parameters"):
        sampler.run([(excited(A, unit="us"), [1.0])])
    assert [each for each in seen if each[0] == "POST"] == []


def test_ibm_is_sent_delays_in_the_devices_own_time(monkeypatch: pytest.MonkeyPatch) -> None:
    device = default_service().backend(DEVICE)
    wide = QuantumCircuit(5, 1)
    wide.x(0)
    wide.delay(1.0, 0, unit="us")
    wide.measure(0, 0)
    monkeypatch.setattr(default_service(), "_features", frozenset())
    job = Sampler(device).run([wide, excited(1.0, unit="us")], shots=10)
    job.result()
    for circuit, *_ in job.inputs["pubs"]:
        (delay,) = (each.operation for each in circuit.data if each.name == "delay")
        assert delay == Delay(round(1e-6 / device.dt))
