"""How observables are measured, and what follows from what was read."""

from __future__ import annotations

import numpy as np
import pytest

from qsession_widget.runtime.worker.results import expectation


def test_observables_that_commute_on_each_qubit_are_measured_together() -> None:
    (measured,) = expectation.measurements(frozenset({"IXZ", "YXI", "IIZ", "II1", "rII"}))
    assert measured.basis == {0: "Z", 1: "X", 2: "Y"}
    means, spreads = measured.estimate([0b000, 0b101], np.array([[3.0, 1.0], [0.0, 7.0]]))
    found = {
        label: list(zip(means[:, column], spreads[:, column], strict=True))
        for column, label in enumerate(measured.readings)
    }
    assert found == {
        "IXZ": [(0.5, 0.75**0.5), (-1, 0)],
        "YXI": [(0.5, 0.75**0.5), (-1, 0)],
        "IIZ": [(0.5, 0.75**0.5), (-1, 0)],
        "II1": [(0.25, 0.1875**0.5), (1, 0)],
        "rII": [(0.75, 0.1875**0.5), (0, 0)],
    }


@pytest.mark.parametrize("at_once", [1 << 20, 1])
def test_each_observable_has_its_own_sign_for_each_outcome(
    at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also on more qubits than a machine word has bits."""
    monkeypatch.setattr(expectation, "_MOST_AT_ONCE", at_once)
    width = 70
    letters = ["Z", "I", "0", "1", "Z"]
    labels = frozenset(
        "".join(letters[(place * step) % 5] for place in range(width)) for step in range(1, 5)
    )
    (measured,) = expectation.measurements(labels)
    outcomes = [0, 2**width - 1, *(3**each for each in range(1, 45, 4))]
    means, _ = measured.estimate(outcomes, np.eye(len(outcomes)))
    for column, label in enumerate(measured.readings):
        for row, outcome in enumerate(outcomes):
            value = 1
            for bit, qubit in enumerate(measured.basis):
                read, letter = outcome >> bit & 1, label[::-1][qubit]
                value *= {"I": 1, "Z": 1 - 2 * read, "0": 1 - read, "1": read}[letter]
            assert means[row, column] == value


def test_the_bits_before_the_last_register_do_not_matter() -> None:
    assert expectation.outcomes({"0x5": 2, "0x4": 1, "0x1": 1}, 1) == {2: 3, 0: 1}


def test_only_the_identity_acts_on_no_qubit() -> None:
    assert expectation.support(frozenset({"III"}), frozenset({"IZI", "I0X"})) == {0, 1}
    assert expectation.support() == frozenset()
