"""qsession-widget: see and steer a quantum session from the notebook.

The public names are loaded at their first use, so importing the package takes almost no time.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qiskit_ibm_runtime.options_models import ExecutorOptions as ExecutorOptions
    from qiskit_ibm_runtime.quantum_program import QuantumProgram as QuantumProgram

    from qsession_widget.client.backends.backend import Backend
    from qsession_widget.client.executor import Executor
    from qsession_widget.client.jobs.job import RuntimeJob
    from qsession_widget.client.options.options import (
        EstimatorOptions,
        Options,
        RuntimeOptions,
        SamplerOptions,
    )
    from qsession_widget.client.primitives import Estimator, Sampler
    from qsession_widget.client.service import QiskitRuntimeService
    from qsession_widget.client.session import Batch, Session, SessionEvent
    from qsession_widget.client.session_info import SessionSummary
    from qsession_widget.errors import (
        AmbiguousIdError,
        BackendNotFoundError,
        CodecError,
        ConflictError,
        InvalidInputError,
        JobCancelledError,
        JobError,
        JobFailedError,
        JobTimeoutError,
        NotAuthorizedError,
        NotFoundError,
        PlanError,
        QSessionError,
        RuntimeElsewhereError,
        RuntimeStartError,
        ServiceError,
        ServiceUnavailableError,
        SessionClosedError,
        UnsupportedError,
    )
    from qsession_widget.panel import SessionPanel, watch

    EstimatorV2 = Estimator
    IBMBackend = Backend
    IBMQuantumComputeService = QiskitRuntimeService
    OptionsV2 = Options
    RuntimeJobV2 = RuntimeJob
    SamplerV2 = Sampler

__all__ = [
    "AmbiguousIdError",
    "BackendNotFoundError",
    "Batch",
    "CodecError",
    "ConflictError",
    "Estimator",
    "EstimatorOptions",
    "Executor",
    "InvalidInputError",
    "JobCancelledError",
    "JobError",
    "JobFailedError",
    "JobTimeoutError",
    "NotAuthorizedError",
    "NotFoundError",
    "Options",
    "PlanError",
    "QSessionError",
    "QiskitRuntimeService",
    "RuntimeElsewhereError",
    "RuntimeJob",
    "RuntimeOptions",
    "RuntimeStartError",
    "Sampler",
    "SamplerOptions",
    "ServiceError",
    "ServiceUnavailableError",
    "Session",
    "SessionClosedError",
    "SessionEvent",
    "SessionPanel",
    "SessionSummary",
    "UnsupportedError",
    "watch",
]

_MODULES = {
    "Batch": "client.session",
    "Estimator": "client.primitives",
    "EstimatorOptions": "client.options.options",
    "Executor": "client.executor",
    "Options": "client.options.options",
    "QiskitRuntimeService": "client.service",
    "RuntimeJob": "client.jobs.job",
    "RuntimeOptions": "client.options.options",
    "Sampler": "client.primitives",
    "SamplerOptions": "client.options.options",
    "Session": "client.session",
    "SessionEvent": "client.session",
    "SessionPanel": "panel",
    "SessionSummary": "client.session_info",
    "watch": "panel",
}
"""The module of each public name. Names that are neither here nor below are errors."""

_AS_AT_IBM = {
    "EstimatorV2": "qsession_widget.client.primitives.Estimator",
    "ExecutorOptions": "qiskit_ibm_runtime.options_models.ExecutorOptions",
    "IBMBackend": "qsession_widget.client.backends.backend.Backend",
    "IBMQuantumComputeService": "qsession_widget.client.service.QiskitRuntimeService",
    "OptionsV2": "qsession_widget.client.options.options.Options",
    "QuantumProgram": "qiskit_ibm_runtime.quantum_program.QuantumProgram",
    "RuntimeJobV2": "qsession_widget.client.jobs.job.RuntimeJob",
    "SamplerV2": "qsession_widget.client.primitives.Sampler",
    **{
        name: f"qsession_widget.exceptions.{name}"
        for name in (
            "IBMAccountError",
            "IBMApiError",
            "IBMBackendApiError",
            "IBMBackendApiProtocolError",
            "IBMBackendError",
            "IBMBackendValueError",
            "IBMError",
            "IBMInputValueError",
            "IBMNotAuthorizedError",
            "IBMRuntimeError",
            "RuntimeInvalidStateError",
            "RuntimeJobFailureError",
            "RuntimeJobMaxTimeoutError",
            "RuntimeJobNotFound",
            "RuntimeJobTimeoutError",
            "RuntimeProgramNotFound",
        )
    },
}
"""Names of qiskit-ibm-runtime, so that a program needs to change only its import line.

They are aliases of our classes, and its own classes that ours accept.
"""


def __getattr__(name: str) -> object:
    if name == "__version__":
        # Reading the installation's metadata would take most of the time of an import.
        from importlib.metadata import version  # noqa: PLC0415 - read only if it is asked for

        return version("qsession-widget")
    if name not in __all__ and name not in _AS_AT_IBM:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    path = _AS_AT_IBM.get(name, f"{__name__}.{_MODULES.get(name, 'errors')}.{name}")
    module, _, own_name = path.rpartition(".")
    if module.startswith(f"{__name__}."):
        value = getattr(import_module(module), own_name)
    else:
        from qsession_widget.support.official import needed  # noqa: PLC0415 - costs an import

        with needed(name):
            value = getattr(import_module(module), own_name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_AS_AT_IBM, "__version__"})
