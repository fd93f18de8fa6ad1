"""Server and hosts need the same versions."""

from __future__ import annotations

from importlib.metadata import version

from qsession_widget.runtime.dask.versions import disagreement, versions


def test_equal_versions_agree() -> None:
    assert versions()["qiskit-aer"] == version("qiskit-aer")
    assert disagreement(versions(), versions()) is None


def test_what_differs_is_named_in_a_sentence() -> None:
    ours = {"qiskit": "2.3", "qiskit-aer": "0.17", "qsession-widget": "1"}
    theirs = {"qiskit": "2.4", "qsession-widget": "1"}
    assert disagreement(ours, theirs) == (
        "It has qiskit 2.4 instead of 2.3, qiskit-aer none instead of 0.17; "
        "install the versions of the server."
    )
