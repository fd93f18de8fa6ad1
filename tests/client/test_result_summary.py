from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.primitives import BitArray, DataBin, PrimitiveResult, PubResult
from qiskit.quantum_info import SparsePauliOp

from qsession_widget import Estimator, Sampler, Session
from qsession_widget.client.jobs.result_summary import Summaries, Summary, summary_of

if TYPE_CHECKING:
    from pathlib import Path


def values(evs: object, stds: object = None) -> PrimitiveResult:
    data = {"evs": np.asarray(evs)} | ({} if stds is None else {"stds": np.asarray(stds)})
    return PrimitiveResult([PubResult(DataBin(**data))])


def shots(*outcomes: str) -> PrimitiveResult:
    bits = BitArray.from_samples(list(outcomes), len(outcomes[0]))
    return PrimitiveResult([PubResult(DataBin(meas=bits))])


def test_a_value_has_its_error() -> None:
    assert summary_of(values(-1.85, 0.004)) == Summary(-1.85, 0.004)
    assert summary_of(values([0.5])) == Summary(0.5)
    assert summary_of(values(0.5, np.nan)) == Summary(0.5)


@pytest.mark.parametrize("result", [None, {}, PrimitiveResult([]), values([1, 2]), values(np.nan)])
def test_what_has_no_short_form_has_none(result: object) -> None:
    assert summary_of(result) is None


@pytest.mark.parametrize("bits", [1, 7, 9, 31])
def test_outcomes_are_those_of_the_counts(bits: int) -> None:
    drawn = np.random.default_rng(bits).integers(0, min(2**bits, 6), 500)
    result = shots(*(format(each, f"0{bits}b") for each in drawn))
    counts = result[0].data.meas.get_counts()
    expected = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:4]
    found = summary_of(result)
    assert found is not None
    assert list(found.outcomes) == [(name, count / 500) for name, count in expected]


def test_large_results_are_left_to_who_opens_the_job() -> None:
    many = BitArray(np.zeros((2**19, 1), dtype=np.uint8), 8)
    assert summary_of(PrimitiveResult([PubResult(DataBin(meas=many))])) is None


def test_a_reader_gets_what_is_new_and_old_ones_are_forgotten() -> None:
    kept = Summaries()
    kept.note("a", values(1.0))
    kept.note("none", None)
    seen, fresh = kept.since(0)
    assert (seen, fresh) == (1, {"a": Summary(1.0)})
    kept.note("b", values(2.0))
    kept.note("a", values(1.0))
    assert kept.since(seen) == (2, {"b": Summary(2.0)})
    for number in range(10_000):
        kept.note(str(number), values(number))
    assert kept.get("a") is None
    assert kept.get("9999") == Summary(9999.0)
    assert len(kept.since(0)[1]) == 10_000


def test_the_results_that_were_fetched_are_summarised_and_no_others(runtime: Path) -> None:
    del runtime
    circuit = QuantumCircuit(1)
    measured = circuit.measure_all(inplace=False)
    with Session(backend="fake_manila") as session:
        first = Estimator(mode=session).run([(circuit, SparsePauliOp("Z"))])
        second, third = (Sampler(mode=session).run([measured], shots=10) for _ in range(2))
        first.result()
        second.result()
        third.wait_for_final_state()
        kept = session.service.summaries
        value = kept.get(first.job_id())
        outcomes = kept.get(second.job_id())
    assert value is not None
    assert (value.value or 0) > 0.5
    assert outcomes is not None
    assert outcomes.outcomes[0][0] == "0"
    assert kept.get(third.job_id()) is None
