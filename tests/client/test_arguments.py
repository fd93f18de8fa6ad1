"""Every argument of every public function refuses wrong values by name, and sends nothing.

The arguments are read from the signatures: a new one fails here until it is classified.
"""

from __future__ import annotations

import inspect
import math
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit_ibm_runtime import QuantumProgram

import qsession_widget
from qsession_widget import (
    Batch,
    Estimator,
    Executor,
    InvalidInputError,
    QiskitRuntimeService,
    RuntimeJob,
    Sampler,
    Session,
    SessionPanel,
    watch,
)
from tests.client.circuits import bell
from tests.client.spy import requests_seen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("runtime")


class _Odd:
    """An object that no argument takes, and whose repr raises."""

    def __repr__(self) -> str:
        raise RuntimeError("no text")


VALUES: dict[str, Any] = {
    "object": _Odd(),
    "bytes": b"abc",
    "text": "abc",
    "empty text": "",
    "half a pair": "\ud800",
    "list of half a pair": ["\ud800"],
    "zero": 0,
    "negative": -1,
    "huge": 10**6000,
    "bool": True,
    "fraction": 1.5,
    "nan": math.nan,
    "infinity": math.inf,
    "complex": 1j,
    "empty list": [],
    "list of numbers": [1, 2],
    "list of empty texts": [""],
    "empty dict": {},
    "dict": {3: 4},
    "function": len,
    "array": np.array([1.0, 2.0]),
    "array of no dimension": np.array(1.0),
    "date": date(2025, 1, 1),
    "first moment": datetime(1, 1, 1),  # noqa: DTZ001 - in local time it is before all others
    "circuit": QuantumCircuit(1),
}
"""Values that users may pass by mistake."""

COUNT = {"zero"}
WHOLE_LEVEL = {"zero"}
TEXT = {"text"}
FLAG = {"bool"}
TEXTS = {"empty list"}
FUNCTION = {"function"}
MOMENT: set[str] = set()
SECONDS: set[str] = {"zero", "fraction", "infinity"}
NUMBER = {"fraction"}
PATH = {"text"}
OPTIONS = {"empty dict"}
NONE: set[str] = set()

ALLOWED: dict[str, set[str]] = {
    "limit": COUNT,
    "skip": COUNT,
    "min_num_qubits": COUNT,
    "total": NONE,
    "backend_name": TEXT,
    "program_id": TEXT,
    "session_id": TEXT,
    "job_id": TEXT,
    "name": TEXT,
    "instance": TEXT,
    "pending": FLAG,
    "descending": FLAG,
    "simulator": FLAG,
    "operational": FLAG,
    "dynamic_circuits": FLAG,
    "use_fractional_gates": FLAG,
    "private_endpoint": FLAG,
    "overwrite": FLAG,
    "set_as_default": FLAG,
    "include_mocks": FLAG,
    "dry_run": FLAG,
    "partial": FLAG,
    "refresh": FLAG,
    "default": FLAG,
    "poll_interval": NUMBER | {"zero"},
    "wait": NUMBER | {"zero"},
    "calibration_id": NONE,
    "job_tags": TEXTS,
    "new_tags": TEXTS,
    "tags": TEXTS,
    "plans_preference": TEXTS,
    "created_after": MOMENT,
    "created_before": MOMENT,
    "filters": FUNCTION,
    "event": NONE,
    "minutes": NUMBER | {"zero"},
    "callback": FUNCTION,
    "function": FUNCTION,
    # bool is callable too, and a user's class may be anything.
    "result_decoder": NONE,
    "decoder": NONE,
    "mode": NONE,
    "session": NONE,
    "backend": NONE,
    "service": NONE,
    "on_error": NONE,
    "max_time": NONE,
    "timeout": SECONDS,
    "optimization_level": WHOLE_LEVEL,
    "inputs": {"empty dict", "dict"},
    "options": OPTIONS,
    "pubs": NONE,
    "shots": NONE,
    "precision": NUMBER,
    "program": NONE,
    "channel": NONE,
    "token": TEXT,
    "url": NONE,
    "filename": PATH,
    "verify": FLAG,
    "proxies": OPTIONS,
    "region": NONE,
}
"""By the name of an argument: which of these values it takes. It must refuse the others."""

REFUSED_TOO = {
    # These look the instance up at once, and a local runtime has none.
    *((f"QiskitRuntimeService.{name}", "instance") for name in ("backend", "backends", "jobs")),
    *((f"QiskitRuntimeService.{name}", "instance") for name in ("least_busy", "sessions")),
}
"""Values that one function refuses although the same argument takes them elsewhere."""

TAKEN_TOO = {("Session.from_id", "backend"), ("Batch.from_id", "backend"), ("watch", "session")}
"""Arguments whose text is a name or an id that is looked up."""

SAID_AS: dict[str, str] = {
    # The message uses another word, or only the value.
    "backend": "backend|device",
    "mode": "mode|backend",
    "options": "option",
    "pubs": "pub",
    "program": "QuantumProgram",
    "session": "mode|session|backend",
    "proxies": "prox",
    "precision": "precision",
    "inputs": "inputs|form on the wire",
}

DECIDED: dict[tuple[str, str], str] = {
    ("QiskitRuntimeService.uses", "other"): "another service, or anything, which it does not use",
    ("QiskitRuntimeService.known_to_offer", "feature"): "a question that every text answers",
    ("QiskitRuntimeService.backends", "attributes"): "values that configurations may have: any",
    ("QiskitRuntimeService.least_busy", "attributes"): "as for backends",
    ("RuntimeJob.decode", "text"): "what the service sent",
}
"""Arguments that take any value, and why."""


@pytest.fixture
def calls(request: pytest.FixtureRequest) -> dict[str, Callable[..., object]]:
    """Return each public function, with all other arguments filled in."""
    service = QiskitRuntimeService("local")
    device = service.backend("aer_simulator")
    sampler, estimator = Sampler(device), Estimator(device)
    session = Session(service, device)
    job = sampler.run(bell(), shots=1)
    job.wait_for_final_state()
    known = {"token": "t", "instance": "crn:v1:a:b:c:us-east:x:y:z"}
    account = {
        **known,
        "filename": str(request.getfixturevalue("tmp_path") / "saved.json"),
        "overwrite": True,
    }
    found: dict[str, Callable[..., object]] = {
        "QiskitRuntimeService": lambda **more: QiskitRuntimeService(**{**known, **more}),
        "QiskitRuntimeService.save_account": lambda **more: QiskitRuntimeService.save_account(
            **{**account, **more}
        ),
        "RuntimeJob.decode": lambda **more: job.decode(**{"text": "1", **more}),
    }
    made: dict[str, tuple[Callable[..., object], dict[str, Any]]] = {
        "Session": (Session, {"service": service, "backend": device}),
        "Batch": (Batch, {"service": service, "backend": device}),
        "Session.from_id": (Session.from_id, {"session_id": "0", "service": service}),
        "Batch.from_id": (Batch.from_id, {"session_id": "0", "service": service}),
        "Session.run": (session.run, {"program_id": "sampler", "inputs": {}}),
        "Batch.run": (session.run, {"program_id": "sampler", "inputs": {}}),
        "Session.bind": (session.bind, {}),
        "Batch.bind": (session.bind, {}),
        "Session.on": (session.on, {"event": "closed", "function": print}),
        "Batch.on": (session.on, {"event": "closed", "function": print}),
        "Session.progress": (session.progress, {}),
        "Batch.progress": (session.progress, {}),
        "Sampler": (Sampler, {}),
        "Estimator": (Estimator, {}),
        "Executor": (Executor, {}),
        "Sampler.run": (sampler.run, {"pubs": bell()}),
        "Estimator.run": (estimator.run, {"pubs": (QuantumCircuit(1), "Z")}),
        "Executor.run": (Executor(device).run, {"program": QuantumProgram(shots=1)}),
        "QiskitRuntimeService.run": (
            service.run,
            {"program_id": "sampler", "inputs": {}, "options": {"backend": device}},
        ),
        "RuntimeJob.result": (job.result, {}),
        "RuntimeJob.wait_for_final_state": (job.wait_for_final_state, {}),
        "RuntimeJob.update_tags": (job.update_tags, {}),
        "RuntimeJob.backend": (job.backend, {}),
        "RuntimeJob.properties": (job.properties, {}),
        "RuntimeJob.usage": (job.usage, {}),
        "watch": (watch, {}),
        "SessionPanel": (SessionPanel, {}),
    }
    made["QiskitRuntimeService.backend"] = (service.backend, {"name": "aer_simulator"})
    for name in ("backends", "least_busy", "jobs", "sessions", "job", "delete_job"):
        made[f"QiskitRuntimeService.{name}"] = (getattr(service, name), {})
    for name in ("find_session", "saved_accounts", "delete_account", "runs", "note_missing"):
        made[f"QiskitRuntimeService.{name}"] = (getattr(service, name), {})
    for name, (function, arguments) in made.items():
        found[name] = _with(function, arguments)
    return found


def _with(function: Callable[..., object], arguments: dict[str, Any]) -> Callable[..., object]:
    return lambda **more: function(**{**arguments, **more})


def public_arguments() -> Iterator[tuple[str, str]]:
    """Yield each public function with each of its arguments."""
    shown = [Session, Batch, Sampler, Estimator, Executor, QiskitRuntimeService, RuntimeJob]
    for kind in shown:
        if kind is not RuntimeJob:
            yield from ((kind.__name__, each) for each in inspect.signature(kind).parameters)
        for name in dir(kind):
            member = inspect.getattr_static(kind, name)
            function = getattr(member, "__func__", member)
            own = (getattr(function, "__module__", None) or "").startswith("qsession_widget")
            if not name.startswith("_") and callable(function) and own:
                for argument in inspect.signature(function).parameters:
                    if argument not in {"self", "cls"}:
                        yield f"{kind.__name__}.{name}", argument
    yield "watch", "session"


ARGUMENTS = sorted(set(public_arguments()) - DECIDED.keys())


def test_every_public_name_is_covered() -> None:
    looked_at = {function.split(".")[0] for function, _ in public_arguments()}
    errors = {
        name
        for name in qsession_widget.__all__
        if isinstance(kind := getattr(qsession_widget, name), type) and issubclass(kind, Exception)
    }
    # Options have a table of their own; `watch` creates the panel; the rest is only read.
    options = {"EstimatorOptions", "Options", "RuntimeOptions", "SamplerOptions"}
    others = options | {"SessionEvent", "SessionPanel", "SessionSummary"}
    assert looked_at | errors | others == set(qsession_widget.__all__)


def test_every_argument_is_classified() -> None:
    assert {name for _, name in ARGUMENTS} == ALLOWED.keys()
    assert DECIDED.keys() <= set(public_arguments())


@pytest.mark.parametrize(("function", "argument"), ARGUMENTS, ids=lambda each: each)
def test_a_wrong_value_is_refused_by_name(
    function: str,
    argument: str,
    calls: dict[str, Callable[..., object]],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    # No account is saved.
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    seen = requests_seen(monkeypatch)
    call, faults = calls[function], {}
    wanted = SAID_AS.get(argument, argument)
    for what, value in VALUES.items():
        allowed = ALLOWED[argument] | (TEXT if (function, argument) in TAKEN_TOO else NONE)
        if what in allowed and (function, argument) not in REFUSED_TOO:
            continue
        try:
            call(**{argument: value})
            faults[what] = "taken"
        except InvalidInputError as error:
            if not any(word in str(error) for word in wanted.split("|")):
                faults[what] = f"not named: {error}"[:200]
        except Exception as error:  # noqa: BLE001 - errors of the wrong class are the finding
            faults[what] = f"{type(error).__name__}: {error}"[:200]
    assert not faults, faults
    changing = [(method, path) for method, path, _ in seen if method not in {"GET", "HEAD"}]
    assert not changing, "refused calls send nothing"
