"""Payloads in the worker: defaults, interim results, and refusals."""

from __future__ import annotations

from typing import Any

import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter

from qsession_widget.runtime.worker import aer, primitives
from qsession_widget.runtime.worker.inputs import batches
from qsession_widget.runtime.worker.outcome import RejectedError
from qsession_widget.wire import codec
from qsession_widget.wire.results.outcomes import summary_of
from tests.runtime.worker.jobs import IDEAL, bell, estimate, ghz, sample


def test_defaults_of_shots_and_precision() -> None:
    circuit = ghz()
    assert sample(IDEAL, [circuit])[0].data.meas.num_shots == 4096
    assert sample(IDEAL, [circuit, []], default_shots=11)[0].data.meas.num_shots == 11
    assert sample(IDEAL, [circuit, [], 5], default_shots=11)[0].data.meas.num_shots == 5
    pub = [bell(), {"ZZ": 1.0}]
    assert estimate(IDEAL, pub)[0].metadata["target_precision"] == 0.015625
    assert estimate(IDEAL, pub, default_precision=0.2)[0].metadata["target_precision"] == 0.2
    assert estimate(IDEAL, pub, default_shots=25)[0].metadata["target_precision"] == 0.2


def test_twirling_decides_for_pubs_that_name_nothing_in_both_programs() -> None:
    twirling = {"enable_gates": True, "num_randomizations": 10, "shots_per_randomization": 30}
    given: dict[str, Any] = {"twirling": twirling, "default_shots": 4096}
    named, unnamed = sample(IDEAL, [ghz(), [], 70], [ghz()], **given)
    assert (named.data.meas.num_shots, unnamed.data.meas.num_shots) == (70, 300)
    pubs = [[bell(), {"ZZ": 1.0}, [], 0.1], [bell(), {"ZZ": 1.0}]]
    named, unnamed = estimate(IDEAL, *pubs, **given)
    assert (named.metadata["shots"], unnamed.metadata["shots"]) == (100, 300)


def test_each_pub_has_a_result_and_all_but_the_last_are_interim_results() -> None:
    interim: list[Any] = []
    circuit = ghz()
    pubs = [[circuit, [], shots] for shots in (10, 20, 30)]
    result = sample(IDEAL, *pubs, interim=interim)
    assert [each.data.meas.num_shots for each in result] == [10, 20, 30]
    assert [each.data.meas.num_shots for each in interim] == [10, 20]
    assert interim[0].data.meas.get_counts() == result[0].data.meas.get_counts()


@pytest.mark.parametrize("program", ["sampler", "estimator"])
def test_the_first_pub_is_summarised(program: str) -> None:
    pubs: list[Any] = [[ghz(), [], 50], [ghz(), [], 60]]
    if program == "estimator":
        pubs = [[bell(), {"ZZ": 0.5}, [], 0.1], [bell(), {"ZZ": 2.0}, [], 0.1]]
    text = codec.dumps({"pubs": pubs, "options": {}})
    outcome = primitives.run(
        program, text, IDEAL, optimization_level=1, on_interim=lambda _text: None
    )
    assert outcome.summary is not None
    assert outcome.summary == summary_of(codec.loads(outcome.result))
    assert (outcome.summary.value == 0.5) == (program == "estimator")


@pytest.mark.parametrize(
    "params",
    [
        "{}",
        '{"pubs": 5}',
        '{"pubs": []}',
        '{"pubs": [[]], "options": 5}',
        '{"pubs": [[]], "options": {"simulator": 5}}',
        '{"pubs": [[{"__type__": "QuantumCircuit", "__value__": "AAAA"}]]}',
        '{"pubs": [[{"__type__": "Mystery", "__value__": 1}]]}',
        '{"__type__": "ndarray", "__value__": [1]}',
        "not json",
    ],
)
def test_unreadable_params_are_refused(params: str) -> None:
    with pytest.raises(RejectedError):
        primitives.run("sampler", params, IDEAL, optimization_level=1, on_interim=lambda _: None)


@pytest.mark.parametrize("seed", [None, 3])
@pytest.mark.parametrize("program", ["sampler", "estimator"])
def test_pubs_in_one_call_fail_by_their_own_number(
    program: str, seed: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    theta = Parameter("theta")
    circuit = QuantumCircuit(1)
    # Has no value at 0, which is seen only once it is filled in.
    circuit.rz(1 / theta, 0)
    circuit.sx(0)
    if program == "sampler":
        circuit.measure_all()
    what = [] if program == "sampler" else ["Z"]
    pubs = [[circuit, *what, [value]] for value in (0.5, 0.4, 0.3, 0.2, 0.0, 0.1)]
    counted: list[int] = []
    real = aer.execute
    monkeypatch.setattr(batches, "AIM_SECONDS", 1e9)

    def seen(parts: Any, **options: Any) -> Any:
        counted.append(len(parts))
        return real(parts, **options)

    monkeypatch.setattr(f"qsession_widget.runtime.worker.{program}.execute", seen)
    interim: list[str] = []
    options = {} if seed is None else {"simulator": {"seed_simulator": seed}}
    with pytest.raises(RejectedError, match=r"^Pub 4 cannot run"):
        primitives.run(
            program,
            codec.dumps({"pubs": pubs, "options": {**options, "default_shots": 20}}),
            "fake_manila",
            optimization_level=1,
            on_interim=interim.append,
        )
    assert len(interim) == 4
    assert max(counted) > 1, "they were to run together"
