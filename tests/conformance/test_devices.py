"""Every recorded device: the target that we build from JSON equals the official client's."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import pytest
from qiskit_ibm_runtime.fake_provider import FakeProviderForBackendV2

from qsession_widget.runtime.device_catalog import Catalog
from tests.wire.test_target import figures, from_the_wire

NAMES = [name for name in Catalog().names() if name.startswith("fake_")]


@cache
def official() -> dict[str, Any]:
    return {backend.name: backend for backend in FakeProviderForBackendV2().backends()}


def test_every_device_of_the_client_is_served() -> None:
    assert set(official()) == set(NAMES)
    assert len(NAMES) >= 68


@pytest.mark.parametrize("name", NAMES)
def test_target_is_the_official_one(name: str) -> None:
    ours, theirs = from_the_wire(name), official()[name].target
    assert (ours.num_qubits, set(ours.operation_names)) == (
        theirs.num_qubits,
        set(theirs.operation_names),
    )
    found, expected = figures(ours), figures(theirs)
    assert set(found) == set(expected)
    for key, pair in expected.items():
        for one, other in zip(found[key], pair, strict=True):
            assert one == other if other is None else math.isclose(one or 0, other), key
