"""Calls that may take long are probed, and long ones are reported; other calls cost nothing."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from qiskit import QuantumCircuit

from qsession_widget.runtime.worker import aer, primitives, progress
from qsession_widget.runtime.worker.inputs import probes
from qsession_widget.wire import codec
from tests.runtime.worker.jobs import rotated

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Told = list[tuple[float, str]]


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seconds = 0.0
        for name in ("perf_counter", "monotonic"):
            monkeypatch.setattr(time, name, lambda: self.seconds)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.fixture
def told() -> Iterator[Told]:
    """Yield the estimates that are reported for the jobs of this process."""
    found: Told = []
    progress.start(
        lambda _stage: None,
        stays=False,
        on_estimate=lambda seconds, by: found.append((seconds, by)),
    )
    yield found
    progress.start(lambda _stage: None, stays=False)


def taking(clock: Clock, seconds_each: float, ran: list[int]) -> Callable[[int], None]:
    def run(count: int) -> None:
        ran.append(count)
        clock.seconds += seconds_each * count

    return run


@pytest.mark.parametrize(
    ("parts", "seconds_each", "ran", "reported"),
    [
        # A probe may be a twentieth at most.
        (19, 3_600.0, [], []),
        (20, 3_600.0, [1], [(72_000.0, "the first of 20 shots")]),
        (4_096, 0.1, [1], []),
        (4_096, 0.5, [1, 4], [(2_048.0, "the first 4 of 4,096 shots")]),
        (100_000, 0.01, [1, 200], [(1_000.0, "the first 200 of 100,000 shots")]),
        (4_096, 60.0, [1], [(245_760.0, "the first of 4,096 shots")]),
    ],
)
def test_a_long_call_is_told_by_a_twentieth_of_it_at_most(
    clock: Clock, told: Told, *, parts: int, seconds_each: float, ran: list[int], reported: Told
) -> None:
    found: list[int] = []
    probes.tell_if_long(parts, "shots", taking(clock, seconds_each, found))
    assert found == ran
    assert sum(found) <= parts / 20 + 1
    assert [(round(seconds, 6), by) for seconds, by in told] == reported


def test_parts_that_are_done_tell_of_those_to_come(clock: Clock, told: Told) -> None:
    progress.expect(10)
    for size in (1, 2, 3, 4):
        with progress.on_device(size):
            clock.seconds += 200.0 * size
    # The last four parts together are still over the bound; after them nothing is left to report.
    assert told == [
        (1_800.0, "the first of 10 parts"),
        (1_400.0, "the first 3 of 10 parts"),
        (800.0, "the first 6 of 10 parts"),
    ]


def test_what_a_call_takes_counts_for_those_after_it(clock: Clock, told: Told) -> None:
    progress.expect(6)
    with progress.on_device(2):
        progress.report_estimate(700.0, "a probe")
        clock.seconds += 10.0
    assert told == [(2_100.0, "a probe")]


def spied(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Note the shots of each call of Aer."""
    shots: list[int] = []
    simulated = aer._Call._simulated

    def run(call: Any, ready: Any, count: int, *more: Any, **options: Any) -> Any:
        shots.append(count)
        return simulated(call, ready, count, *more, **options)

    monkeypatch.setattr(aer._Call, "_simulated", run)
    return shots


def counts(circuit: QuantumCircuit, values: Any, shots: int, device: str) -> Any:
    options = {"simulator": {"seed_simulator": 5}}
    text = codec.dumps({"pubs": [[circuit, values, shots]], "options": options})
    outcome = primitives.run("sampler", text, device, optimization_level=0, on_interim=print)
    return json.loads(outcome.result)["__value__"]["pub_results"]


def noisy() -> QuantumCircuit:
    """Return a circuit whose shots Aer simulates one by one."""
    circuit = QuantumCircuit(1, 2)
    circuit.h(0)
    circuit.measure(0, 0)
    circuit.x(0)
    circuit.measure(0, 1)
    return circuit


@pytest.mark.parametrize("sweep", [False, True])
def test_a_probe_changes_no_shots(
    monkeypatch: pytest.MonkeyPatch, told: Told, *, sweep: bool
) -> None:
    values: Any = [[0.1 * place] for place in range(40)] if sweep else []
    circuit = rotated("rx") if sweep else noisy()
    device = "aer_simulator" if sweep else "fake_manila"
    shots = spied(monkeypatch)
    plain = counts(circuit, values, 60, device)
    assert shots == [60]
    assert not told, "an ordinary job is not probed"
    monkeypatch.setattr(probes, "SUSPICIOUS_SECONDS", 0.0)
    monkeypatch.setattr(progress, "LONG_SECONDS", 0.0)
    shots.clear()
    assert counts(circuit, values, 60, device) == plain
    assert shots[-1] == 60
    assert len(shots) > 1
    ((seconds, by),) = told
    assert seconds > 0
    assert by.endswith("of 40 executions" if sweep else "of 60 shots")
