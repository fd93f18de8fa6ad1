"""qsession-widget: see and steer a quantum session from the notebook.

The names below are loaded at their first use, so that importing the package costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qsession_widget.errors import (
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
        RuntimeStartError,
        ServiceError,
        ServiceUnavailableError,
        SessionClosedError,
        UnsupportedError,
    )
    from qsession_widget.executor import Executor
    from qsession_widget.job import RuntimeJob
    from qsession_widget.options import Options, RuntimeOptions
    from qsession_widget.panel import SessionPanel, watch
    from qsession_widget.primitives import Estimator, Sampler
    from qsession_widget.service import QiskitRuntimeService
    from qsession_widget.session import Batch, Session
    from qsession_widget.sessions import SessionSummary

__all__ = [
    "BackendNotFoundError",
    "Batch",
    "CodecError",
    "ConflictError",
    "Estimator",
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
    "RuntimeJob",
    "RuntimeOptions",
    "RuntimeStartError",
    "Sampler",
    "ServiceError",
    "ServiceUnavailableError",
    "Session",
    "SessionClosedError",
    "SessionPanel",
    "SessionSummary",
    "UnsupportedError",
    "watch",
]

_MODULES = {
    "Batch": "session",
    "Estimator": "primitives",
    "Executor": "executor",
    "Options": "options",
    "QiskitRuntimeService": "service",
    "RuntimeJob": "job",
    "RuntimeOptions": "options",
    "Sampler": "primitives",
    "Session": "session",
    "SessionPanel": "panel",
    "SessionSummary": "sessions",
    "watch": "panel",
}
"""Where each public name lives; those that are not here are errors."""


def __getattr__(name: str) -> object:
    if name == "__version__":
        # Reading the installation's metadata takes most of the time that an import would.
        from importlib.metadata import version  # noqa: PLC0415

        return version("qsession-widget")
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULES.get(name, 'errors')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, "__version__"})
