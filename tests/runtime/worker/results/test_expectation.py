"""How observables are measured, and what follows from what was read."""

from __future__ import annotations

from qsession_widget.runtime.worker.results import expectation


def test_observables_that_commute_on_each_qubit_are_measured_together() -> None:
    (measured,) = expectation.measurements(frozenset({"IXZ", "YXI", "IIZ", "II1", "rII"}))
    assert measured.basis == {0: "Z", 1: "X", 2: "Y"}
    assert measured.estimate({0b000: 3, 0b101: 1}) == {
        "IXZ": (0.5, 0.75**0.5),
        "YXI": (0.5, 0.75**0.5),
        "IIZ": (0.5, 0.75**0.5),
        "II1": (0.25, 0.1875**0.5),
        "rII": (0.75, 0.1875**0.5),
    }


def test_the_bits_before_the_last_register_do_not_matter() -> None:
    assert expectation.outcomes({"0x5": 2, "0x4": 1, "0x1": 1}, 1) == {2: 3, 0: 1}


def test_only_the_identity_acts_on_no_qubit() -> None:
    assert expectation.support(frozenset({"III"}), frozenset({"IZI", "I0X"})) == {0, 1}
    assert expectation.support() == frozenset()
