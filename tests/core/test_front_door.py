"""Importing the package: what is public, and what it costs."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

import qsession_widget
from qsession_widget import errors


def test_importing_loads_nothing_heavy() -> None:
    code = (
        "import sys, qsession_widget; qsession_widget.__all__; dir(qsession_widget);"
        "print([name for name in ('qiskit', 'numpy', 'requests', 'traitlets', 'ipywidgets')"
        " if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)  # noqa: S603 - ours
    assert found.stdout.strip() == "[]"


def test_the_official_client_is_not_imported_to_run_a_job() -> None:
    code = (
        "import sys; from qsession_widget import Session, Sampler, Estimator;"
        "print('qiskit_ibm_runtime' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)  # noqa: S603 - ours
    assert found.stdout.strip() == "False"


@pytest.mark.parametrize("name", qsession_widget.__all__)
def test_every_public_name_is_there_and_described(name: str) -> None:
    value = getattr(qsession_widget, name)
    assert value.__name__ == name
    assert value.__module__.startswith("qsession_widget")
    assert inspect.getdoc(value)
    assert name in dir(qsession_widget)


def test_all_errors_are_public_and_of_one_tree() -> None:
    found = [value for value in vars(errors).values() if inspect.isclass(value)]
    assert len(found) > 10
    assert all(issubclass(error, qsession_widget.QSessionError) for error in found)
    assert {error.__name__ for error in found} <= set(qsession_widget.__all__)


def test_what_is_not_public_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = qsession_widget.nothing
