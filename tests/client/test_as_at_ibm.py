"""Programs for qiskit-ibm-runtime run after a change of the import line: its classes decide."""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any

import pytest
import qiskit_ibm_runtime as official
from qiskit_ibm_runtime import exceptions as official_exceptions
from qiskit_ibm_runtime import options as official_options

import qsession_widget
from qsession_widget import exceptions
from qsession_widget.client.backends.backend import Backend, BackendStatus
from qsession_widget.client.options import options

PAIRS: dict[str, tuple[Any, Any]] = {
    "Session": (official.Session, qsession_widget.Session),
    "Batch": (official.Batch, qsession_widget.Batch),
    "SamplerV2": (official.SamplerV2, qsession_widget.Sampler),
    "EstimatorV2": (official.EstimatorV2, qsession_widget.Estimator),
    "Executor": (official.Executor, qsession_widget.Executor),
    "RuntimeJobV2": (official.RuntimeJobV2, qsession_widget.RuntimeJob),
    "QiskitRuntimeService": (official.QiskitRuntimeService, qsession_widget.QiskitRuntimeService),
    "IBMBackend": (official.IBMBackend, Backend),
    "BackendStatus": (official.models.BackendStatus, BackendStatus),
    "SamplerOptions": (official.SamplerOptions, qsession_widget.SamplerOptions),
    "EstimatorOptions": (official.EstimatorOptions, qsession_widget.EstimatorOptions),
    "RuntimeOptions": (official.RuntimeOptions, qsession_widget.RuntimeOptions),
}

MADE_BY_US = "users do not construct it: a service does"
INSIDE = "for its own use"
EXCEPTIONS = {
    "RuntimeJobV2.__init__": MADE_BY_US,
    "IBMBackend.__init__": MADE_BY_US,
    "Session.__init__(create_new)": "for its own use: from_id gives a session that exists",
    "Batch.__init__(create_new)": "for its own use: from_id gives a batch that exists",
    "QiskitRuntimeService.__init__(url_resolver)": "the account's url and variables lead anywhere",
    "IBMBackend.get_translation_stage_plugin": "Qiskit's own translation is what circuits get here",
    "IBMBackend.id_warning_issued": INSIDE,
    "IBMBackend.physical_qubits": "couplers are in no configuration",
    "BackendStatus.from_dict": MADE_BY_US,
    "RuntimeOptions.get_backend_name": INSIDE,
    "RuntimeOptions.validate": "every assignment is checked",
}
"""Names that are left out, and why."""

MODULE_EXCEPTIONS = {
    "Calibrator": "calibration of devices is not done here",
    "NoiseLearner": "service.ibm() gives IBM's client, whose learner runs on the local runtime",
    "NoiseLearnerOptions": "as NoiseLearner",
    "NoiseLearnerV2": "as NoiseLearner",
    "NoiseLearnerV3": "as NoiseLearner",
    "NoiseLearnerV3Options": "as NoiseLearner",
    "RuntimeDecoder": "wire.codec reads and writes",
    "RuntimeEncoder": "wire.codec reads and writes",
}


def parameters(function: Any) -> dict[str, inspect.Parameter]:
    """Return the parameters that can be named."""
    return {
        name: each
        for name, each in inspect.signature(function).parameters.items()
        if name != "self"
        and not name.startswith("_")
        and each.kind not in {each.VAR_POSITIONAL, each.VAR_KEYWORD}
    }


def is_method(value: Any) -> bool:
    """Whether an attribute of a class is a method."""
    return callable(getattr(value, "__func__", value))


def differences() -> dict[str, str]:
    """Compare every public name, its kind, and every parameter."""
    found = {}
    for title, (theirs, ours) in PAIRS.items():
        for name in [*(each for each in dir(theirs) if not each.startswith("_")), "__init__"]:
            place = f"{title}.{name}"
            their_value = inspect.getattr_static(theirs, name)
            fields = getattr(ours, "__dataclass_fields__", {})
            if not hasattr(ours, name) and name not in fields:
                found[place] = "is not there"
                continue
            our_value = inspect.getattr_static(ours, name, None)
            callables = [
                callable(getattr(each, "__func__", each)) for each in (their_value, our_value)
            ]
            if callables[0] != callables[1]:
                found[place] = f"is a method there or here only: {callables}"
            elif callables[0] and not inspect.isclass(their_value):
                their_names = parameters(getattr(theirs, name))
                our_names = parameters(getattr(ours, name))
                for each in their_names.keys() - our_names.keys():
                    found[f"{place}({each})"] = "is not there"
    return found


def test_every_name_and_argument_is_there_or_an_exception() -> None:
    found = differences()
    named = {
        place: said
        for place, said in found.items()
        if place not in EXCEPTIONS and place.partition("(")[0] not in EXCEPTIONS
    }
    assert named == {}
    used = {*found, *(place.partition("(")[0] for place in found)}
    assert EXCEPTIONS.keys() <= used, "an exception that is not needed any more"


def test_every_public_name_of_the_package_is_there_or_an_exception() -> None:
    theirs = {
        name
        for name, value in vars(official).items()
        if inspect.isclass(value) and value.__module__.startswith(official.__name__)
    }
    missing = {name for name in theirs if not hasattr(qsession_widget, name)}
    assert missing == MODULE_EXCEPTIONS.keys()


@pytest.mark.parametrize(
    "name",
    [
        name
        for name, value in vars(official_exceptions).items()
        if inspect.isclass(value) and value.__module__ == official_exceptions.__name__
    ],
)
def test_every_error_has_its_name_there(name: str) -> None:
    theirs = getattr(official_exceptions, name)
    ours = getattr(exceptions, name)
    assert getattr(qsession_widget, name) is ours
    assert issubclass(ours, qsession_widget.QSessionError)
    assert not issubclass(theirs, ValueError) or issubclass(ours, ValueError)


def test_the_same_names_are_the_same_things() -> None:
    assert qsession_widget.SamplerV2 is qsession_widget.Sampler
    assert qsession_widget.QuantumProgram is official.QuantumProgram


@pytest.mark.parametrize("name", [each for each in dir(official_options) if each[0].isupper()])
def test_groups_of_options_are_imported_from_the_same_place(name: str) -> None:
    if name in MODULE_EXCEPTIONS or name.startswith("NoiseLearner"):
        return
    assert dataclasses.is_dataclass(getattr(options, name))
