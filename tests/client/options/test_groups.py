"""Groups of options that are checked together."""

from __future__ import annotations

from typing import Any

import pytest

from qsession_widget.client.options.groups import (
    _EXTRAPOLATORS,
    MeasureNoiseLearningOptions,
    ResilienceOptions,
    SimulatorOptions,
    ZneOptions,
)
from qsession_widget.client.options.options import Options
from qsession_widget.errors import InvalidInputError


@pytest.mark.parametrize(
    ("resilience", "said"),
    [
        ({"zne_mitigation": True, "pec_mitigation": True}, "do not go together"),
        ({"measure_noise_learning": {"num_randomizations": 1}}, "measure_mitigation is not True"),
        ({"zne": {"extrapolator": "polynomial_degree_7"}}, r"noise_factors=.*at least 8"),
    ],
)
def test_options_that_do_not_go_together(resilience: dict[str, Any], said: str) -> None:
    options = Options.of({"resilience": resilience})
    with pytest.raises(InvalidInputError, match=said):
        options.on_the_wire()


@pytest.mark.parametrize("fit", _EXTRAPOLATORS)
def test_each_fit_needs_its_number_of_noise_factors(fit: str) -> None:
    factors = [float(1 + each) for each in range(_EXTRAPOLATORS[fit])]
    ZneOptions(extrapolator=fit, noise_factors=factors).check()
    few = ZneOptions(extrapolator=["linear", fit], noise_factors=factors[:-1])
    with pytest.raises(InvalidInputError, match=f"at least {len(factors)} of them for"):
        few.check()


def test_a_group_checks_its_inner_groups() -> None:
    resilience = ResilienceOptions(zne=ZneOptions(noise_factors=[1]))
    with pytest.raises(InvalidInputError, match="noise_factors"):
        resilience.check()
    learning = MeasureNoiseLearningOptions(num_randomizations=1)
    ResilienceOptions(measure_mitigation=True, measure_noise_learning=learning).check()
    with pytest.raises(InvalidInputError, match="measure_mitigation is not True"):
        ResilienceOptions(measure_noise_learning=learning).check()


def test_a_simulator_takes_noise_coupling_and_gates_from_a_backend() -> None:
    from qiskit.providers.fake_provider import GenericBackendV2  # noqa: PLC0415 - slow

    backend = GenericBackendV2(3, coupling_map=[[0, 1], [1, 2]], seed=1)
    options = SimulatorOptions(seed_simulator=5)
    options.set_backend(backend)
    found = options.set_values()
    assert found["seed_simulator"] == 5
    assert found["coupling_map"] == [[0, 1], [1, 2]]
    assert set(found["basis_gates"]) == set(backend.operation_names)
    assert found["noise_model"]["errors"]
    not_a_backend: Any = "fake_manila"
    with pytest.raises(InvalidInputError, match="backend='fake_manila'"):
        options.set_backend(not_a_backend)
    assert options.set_values() == found
