"""One of each public object, and a use of it, for tests that go through them all."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import qsession_widget
from qsession_widget import (
    Batch,
    Estimator,
    EstimatorOptions,
    Executor,
    Options,
    RuntimeOptions,
    Sampler,
    SamplerOptions,
    Session,
    SessionEvent,
    SessionPanel,
)
from qsession_widget.client.jobs.job import Estimate
from tests.client.circuits import bell

if TYPE_CHECKING:
    from collections.abc import Callable

    from qsession_widget import RuntimeJob

SHOTS = 11


@dataclass(frozen=True)
class Kind:
    """A kind of public object.

    Attributes:
        make: makes one in a session that has run a job.
        use: uses one and says what came of it, which is the same for each copy.
        shared: whether a copy is the object itself, since it stands for something elsewhere.
    """

    make: Callable[[Session, RuntimeJob], Any]
    use: Callable[[Any], Any]
    shared: bool


def _run(primitive: Any) -> Any:
    assert isinstance(primitive, Sampler | Estimator)
    if isinstance(primitive, Sampler):
        return primitive.run([bell()]).result()[0].data.cr.num_shots
    circuit = bell().remove_final_measurements(inplace=False)
    return float(primitive.run([(circuit, "ZZ")]).result()[0].data.evs) > 0


def _values(value: Any) -> Any:
    return repr(value)


KINDS: dict[str, Kind] = {
    "Backend": Kind(
        lambda session, _: session.device, lambda each: each.status().backend_name, shared=True
    ),
    "BackendStatus": Kind(lambda session, _: session.device.status(), _values, shared=False),
    "Batch": Kind(
        lambda session, _: Batch(session.service, "fake_manila"),
        lambda each: (each.details()["id"], each.details()["mode"]),
        shared=True,
    ),
    "Estimate": Kind(lambda *_: Estimate(1.0, "why"), _values, shared=False),
    "Estimator": Kind(lambda session, _: Estimator(session, {"seed": 1}), _run, shared=False),
    "Executor": Kind(
        lambda session, _: Executor(session, {"max_execution_time": 60}),
        lambda each: (each.mode.session_id, each.options.max_execution_time),
        shared=False,
    ),
    "Options": Kind(
        lambda *_: Options.of({"twirling": {"enable_gates": True}}),
        lambda each: each.on_the_wire(),
        shared=False,
    ),
    "EstimatorOptions": Kind(
        lambda *_: EstimatorOptions(resilience_level=1),
        lambda each: each.set_values(),
        shared=False,
    ),
    "SamplerOptions": Kind(
        lambda *_: SamplerOptions(default_shots=7), lambda each: each.on_the_wire(), shared=False
    ),
    "Record": Kind(
        lambda session, _: session.device.properties(), lambda each: each.t1(0), shared=False
    ),
    "QiskitRuntimeService": Kind(
        lambda session, _: session.service,
        lambda each: "fake_manila" in [backend.name for backend in each.backends()],
        shared=True,
    ),
    "RuntimeJob": Kind(
        lambda _, job: job,
        lambda each: (each.job_id(), each.result()[0].data.cr.num_shots),
        shared=True,
    ),
    "RuntimeOptions": Kind(
        lambda session, _: RuntimeOptions(session.device, max_execution_time="1m"),
        lambda each: (each.backend.name, each.on_the_wire()),
        shared=False,
    ),
    "Sampler": Kind(
        lambda session, _: Sampler(session, {"default_shots": SHOTS}), _run, shared=False
    ),
    "Session": Kind(
        lambda session, _: session,
        lambda each: (each.details()["id"], len(each.jobs()) > 0, each.tags, each.name),
        shared=True,
    ),
    "SessionEvent": Kind(
        lambda session, _: SessionEvent(
            "active", session, datetime(2026, 11, 27, tzinfo=UTC), "text"
        ),
        lambda each: (each.kind, each.session.session_id, each.at),
        shared=False,
    ),
    "SessionPanel": Kind(
        lambda session, _: SessionPanel(session),
        lambda each: (each.session.session_id, each.head["backend_name"]),
        shared=True,
    ),
    "SessionSummary": Kind(
        lambda session, _: session.service.sessions(1)[0], lambda each: each.id, shared=False
    ),
}
"""By name. The jobs of a simulator's session have a test of their own."""

FUNCTIONS = {"watch"}
"""Public names that are not classes."""


def errors() -> list[type[qsession_widget.QSessionError]]:
    """Return every class of the error tree, including private ones."""
    found = [qsession_widget.QSessionError]
    for each in found:
        found += [more for more in each.__subclasses__() if more not in found]
    return found


def make_all() -> dict[str, Any]:
    """Create one of each, in a session on the local runtime."""
    session = Session(backend="fake_manila", tags=["one", "two"], name="of each")
    job = Sampler(session).run([bell()], shots=SHOTS)
    job.result()
    return {name: kind.make(session, job) for name, kind in KINDS.items()}
