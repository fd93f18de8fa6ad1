"""A circuit is transpiled once for each backend and level, and the cache is bounded."""

from __future__ import annotations

import numpy as np
import pytest
from qiskit.circuit.library import efficient_su2

from qsession_widget import Estimator
from qsession_widget.client import primitives
from qsession_widget.client.circuits.transpile_cache import TranspiledCircuits


@pytest.mark.usefixtures("as_at_ibm")
def test_at_ibm_a_circuit_is_transpiled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    found = TranspiledCircuits(size=2)
    monkeypatch.setattr(primitives, "transpiled_circuits", found)
    ansatz = efficient_su2(2, reps=1)
    estimator = Estimator("fake_manila", {"optimization_level": 2})
    values = np.linspace(0, 1, ansatz.num_parameters)
    jobs = [estimator.run((ansatz, "ZZ", values)) for _ in range(3)]
    assert found.hits == 2
    layouts = [job.inputs["pubs"][0][0] for job in jobs]
    assert layouts[0] == layouts[1] == layouts[2]
    Estimator("fake_manila", {"optimization_level": 1}).run((ansatz, "ZZ", values))
    Estimator("fake_quito", {"optimization_level": 2}).run((ansatz, "ZZ", values))
    assert found.hits == 2, "another level or device is another entry"
    estimator.run((ansatz, "ZZ", values))
    assert found.hits == 2, "the oldest entry was evicted"
    found = TranspiledCircuits(most_bytes=10_000)
    monkeypatch.setattr(primitives, "transpiled_circuits", found)
    large = efficient_su2(2, reps=10)
    for each in (ansatz, large, ansatz, ansatz):
        estimator.run((each, "ZZ", np.linspace(0, 1, each.num_parameters)))
    assert found.hits == 1, "the large one is not kept, and evicted the small one"
