"""Executor: runs the quantum programs of qiskit-ibm-runtime as jobs on a service."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from qsession_widget.client.primitives import Placed
from qsession_widget.client.quantum_programs.program_encoding import encoded
from qsession_widget.client.resolve import service_of
from qsession_widget.errors import InvalidInputError
from qsession_widget.support.official import needed
from qsession_widget.support.validation import refusal
from qsession_widget.support.value_text import shown
from qsession_widget.transport.accounts import LOCAL
from qsession_widget.wire.fields import EXECUTOR

if TYPE_CHECKING:
    import qiskit_ibm_runtime as official_package
    import samplomatic
    from qiskit.providers import BackendV2
    from qiskit_ibm_runtime.options_models import ExecutorOptions

    from qsession_widget.client.jobs.job import RuntimeJob
    from qsession_widget.client.session import Session


class Executor(Placed):
    """Runs a `QuantumProgram`: circuits, and templates of random circuits, without changing them.

    Args:
        mode: a Session, a Batch, a backend or its name. None is the session of the surrounding
            `with` block, else the least busy backend.
        options: `ExecutorOptions` of qiskit-ibm-runtime, or a dict of the same names.
        session: another name for mode.
        backend: a third name; beside one of the others, the backend that it has to be on.

    Raises:
        InvalidInputError: for a mode or an option that cannot be used.
    """

    def __init__(
        self,
        mode: Session | str | BackendV2 | None = None,
        options: ExecutorOptions | Mapping[str, object] | None = None,
        *,
        session: Session | str | BackendV2 | None = None,
        backend: str | BackendV2 | None = None,
    ) -> None:
        super().__init__(mode, session=session, backend=backend)
        self.options = options

    @property
    def options(self) -> ExecutorOptions:
        """A copy of the given `ExecutorOptions` of qiskit-ibm-runtime, which checks them."""
        return self._options

    @options.setter
    def options(self, options: ExecutorOptions | Mapping[str, object] | None) -> None:
        self._options = _official_options(options)

    def run(
        self,
        program: official_package.QuantumProgram | samplomatic.QuantumProgram,
        dry_run: bool = False,
    ) -> RuntimeJob:
        """Send a program. Its circuits must be in the backend's instruction set.

        Args:
            program: a `qiskit_ibm_runtime.QuantumProgram`, or one of samplomatic.
            dry_run: as for `Sampler.run`.

        Returns:
            A job. Its result is a `QuantumProgramResult` of qiskit-ibm-runtime.

        Raises:
            InvalidInputError: for anything else, for values that are not finite, and for delays
                that are lost in the encoding.
            SessionClosedError: if the session accepts no more jobs.
        """
        with needed("Executor"):
            from qiskit_ibm_runtime.quantum_program import QuantumProgram

        if not isinstance(program, QuantumProgram):
            try:
                program = QuantumProgram.from_(program)
            except (TypeError, ValueError, AttributeError) as error:
                raise InvalidInputError(
                    f"program={shown(program)} is not a QuantumProgram of qiskit-ibm-runtime"
                ) from error
        session, backend = self._place_for(dry_run=dry_run)
        options = self.options
        inputs = encoded(program, options, local=backend.service.channel == LOCAL)
        environment = options.environment
        run = {
            "log_level": environment.log_level,
            "job_tags": environment.job_tags or None,
            "private": environment.private or None,
            "max_execution_time": options.max_execution_time or environment.max_execution_time,
            "image": environment.image,
        }
        if session is not None:
            return session.run(EXECUTOR, inputs, run)
        return service_of(backend).run(EXECUTOR, inputs, {"backend": backend, **run})


def _official_options(given: Any) -> Any:
    with needed("Executor"):
        from qiskit_ibm_runtime.options_models import ExecutorOptions

    if isinstance(given, ExecutorOptions):
        return given.model_copy(deep=True)
    if given is None:
        return ExecutorOptions()
    if not isinstance(given, Mapping) or not all(isinstance(name, str) for name in given):
        raise refusal("options", given, "a dict or ExecutorOptions")
    try:
        return ExecutorOptions(**given)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"options={shown(given)} is not allowed: {error}") from error
