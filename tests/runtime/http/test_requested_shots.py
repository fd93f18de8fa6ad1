from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from qsession_widget.runtime.device_catalog import Catalog
from qsession_widget.runtime.http.requested_shots import (
    Lists,
    RequestedShots,
    refusal,
    requested,
)

if TYPE_CHECKING:
    from qsession_widget.runtime.device_catalog import Device


def found(program_id: str, **params: Any) -> list[RequestedShots]:
    return requested(program_id, msgspec.json.decode(json.dumps(params), type=Lists))


@pytest.fixture
def manila() -> Device:
    device = Catalog({}, {}, ()).get("fake_manila")
    assert device is not None
    return device


def test_a_pub_has_its_own_shots_or_the_default() -> None:
    pubs = [["circuit", [], 7], ["circuit"]]
    assert found("sampler", pubs=pubs, options={"default_shots": 9}) == [
        RequestedShots("pub 0: ", shots=7),
        RequestedShots("default_shots: ", shots=9),
    ]
    assert found("estimator", pubs=[["circuit", "Z", [], 0.5]]) == [
        RequestedShots("pub 0: ", precision=0.5)
    ]
    assert found("executor", quantum_program={"shots": 5}) == [RequestedShots("", shots=5)]


@pytest.mark.parametrize("pubs", [None, 5, {}, [5], [[]], [["c", [], "many"]], [["c", [], True]]])
def test_values_that_are_not_numbers_are_left_to_the_worker(pubs: object) -> None:
    assert found("sampler", pubs=pubs) == []


def test_a_refusal_names_the_limit_and_its_source(manila: Device) -> None:
    most = manila.configuration["max_shots"]
    asked = [RequestedShots("pub 0: ", shots=most)]
    assert refusal(asked, manila, 0) is None
    assert f"this runtime takes {most - 1}" in str(refusal(asked, manila, most - 1))
    asked = [RequestedShots("pub 0: ", shots=most + 1)]
    assert f"fake_manila takes {most}" in str(refusal(asked, manila, 0))
    assert "Precision" in str(refusal([RequestedShots("", precision=1e-9)], manila, 0))
