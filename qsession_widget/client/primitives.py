"""Sampler and Estimator: Qiskit's primitives, run as jobs on a service."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from qiskit.primitives import BaseEstimatorV2, BaseSamplerV2
from qiskit.primitives.containers.estimator_pub import EstimatorPub
from qiskit.primitives.containers.sampler_pub import SamplerPub

from qsession_widget.client.backends.backend import Backend, backend_name
from qsession_widget.client.circuits.pubs import estimator_pubs, in_paulis, sampler_pubs
from qsession_widget.client.circuits.transpile_cache import transpiled_circuits
from qsession_widget.client.default_service import default_service
from qsession_widget.client.options.options import Options
from qsession_widget.client.quantum_programs.program_encoding import encoded
from qsession_widget.client.quantum_programs.pubs_as_program import prepared
from qsession_widget.client.resolve import backend_for, service_of
from qsession_widget.client.session import Session, current_session, find_session
from qsession_widget.errors import InvalidInputError, NotFoundError, UnsupportedError
from qsession_widget.support import validation
from qsession_widget.support.warnings import warn_user
from qsession_widget.transport.accounts import LOCAL
from qsession_widget.wire import ignored_options
from qsession_widget.wire.delays import delays_in_dt
from qsession_widget.wire.fields import EXECUTOR, INSTANCE_CRN, PROGRAM_NOT_FOUND, mock_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from qiskit import QuantumCircuit
    from qiskit.primitives.containers import EstimatorPubLike, SamplerPubLike
    from qiskit.primitives.containers.observables_array import ObservablesArray
    from qiskit.providers import BackendV2

    from qsession_widget.client.jobs.job import RuntimeJob
    from qsession_widget.client.service import QiskitRuntimeService

_PARAMS_VERSION = 2
"""`params.version`: jobs of pubs, unlike version 1 with separate lists of circuits and values."""

_BITS = "classified"
"""The value of `execution.meas_type` for shots that are bits."""


class Placed:
    """Base of Sampler, Estimator and Executor: decides where jobs run.

    Args:
        mode: a Session, a Batch, a backend or its name. None is the session of the surrounding
            `with` block, else the least busy backend. A backend that is given inside a session's
            block means that session, which has to be on it.
        session: another name for mode.
        backend: a third name; beside one of the others, the backend that it has to be on.
    """

    def __init__(
        self,
        mode: Session | str | BackendV2 | None = None,
        *,
        session: Session | str | BackendV2 | None = None,
        backend: str | BackendV2 | None = None,
    ) -> None:
        if mode is not None and session is not None:
            raise InvalidInputError("mode= and session= are two names for the same: give one")
        given = mode if mode is not None else session
        self._mode = _meant(backend if given is None else given)
        if given is not None and backend is not None:
            found = self.backend()
            if backend_name(backend) != found.name:
                raise InvalidInputError(
                    f"backend={backend_name(backend)!r} is not where {given!r} is: {found.name!r}"
                )

    @property
    def mode(self) -> Session | Backend | None:
        """Where its jobs run; None means that each run decides.

        A run then takes the session of the `with` block around it, else the least busy backend.
        """
        return self._mode

    @property
    def session(self) -> Session | None:
        """The session that its jobs run in; None outside of sessions."""
        return self._mode if isinstance(self._mode, Session) else None

    def backend(self) -> Backend:
        """Return the backend to which a job would be sent now."""
        return self._place()[1]

    @property
    def _backend(self) -> Backend:
        # Read by packages that were written for qiskit-ibm-runtime, such as qiskit-experiments.
        return self.backend()

    def _place(self) -> tuple[Session | None, Backend]:
        """Return the session, if any, and the backend to which a job is sent now."""
        mode = self._mode or current_session()
        if isinstance(mode, Session):
            return mode, mode.device
        return None, mode or backend_for(default_service(), None)

    def _place_for(self, *, dry_run: bool) -> tuple[Session | None, Backend]:
        """Return session and backend of a job; a dry run has the backend's mock and no session.

        Raises:
            BackendNotFoundError: if the service has no mock of the backend.
        """
        session, backend = self._place()
        if not validation.boolean("dry_run", dry_run):
            return session, backend
        return None, backend.service.backend(mock_of(backend.name))


def _meant(given: Session | str | BackendV2 | None) -> Session | Backend | None:
    """Return the session or backend that an argument means."""
    around = current_session()
    if given is None:
        return around
    if isinstance(given, Session):
        return given
    if not isinstance(given, Backend) and hasattr(given, "session_id"):
        return find_session(given)
    name = backend_name(given, "mode")
    if around is None:
        return given if isinstance(given, Backend) else backend_for(service_of(given), name)
    service = around.service if isinstance(given, str) else service_of(given)
    if name == around.device.name and _are_one(around.service, service):
        warn_user(
            f"backend {name!r} is given inside the block of {around!r}: the jobs run in this "
            f"{type(around).__name__.lower()}. Leave the backend out to say so"
        )
        return around
    found = given if isinstance(given, Backend) else backend_for(service, name)
    if found.simulator:
        # It has no sessions: each run warns that it is outside of this one.
        return found
    raise InvalidInputError(
        f"backend {name!r} is given inside the block of {around!r}, which is on "
        f"{around.device.name!r}: leave it out to run there, or move it out of the block"
    )


def _are_one(one: QiskitRuntimeService, other: QiskitRuntimeService) -> bool:
    """Whether two services are connections to the same instance, as ours and IBM's may be."""
    if one.uses(other):
        return True
    hosts = {urlsplit(each.api.transport.url).netloc for each in (one, other)}
    # A local runtime has one instance, which only IBM's client knows by a name.
    instances = {each.active_instance() or INSTANCE_CRN for each in (one, other)}
    return len(hosts) == len(instances) == 1


class _Primitive(Placed):
    """Base of Sampler and Estimator: has the options, and sends jobs."""

    version = 2
    """The version of Qiskit's interface that it implements."""

    _program_id: str

    def __init__(
        self,
        mode: Session | str | BackendV2 | None = None,
        options: Options | Mapping[str, object] | None = None,
        *,
        session: Session | str | BackendV2 | None = None,
        backend: str | BackendV2 | None = None,
    ) -> None:
        super().__init__(mode, session=session, backend=backend)
        self.options = Options.of(options)

    @property
    def options(self) -> Options:
        """The options of every job; every change is checked.

        They are a copy of the given ones, which may have been given to another primitive, too.
        """
        return self._options

    @options.setter
    def options(self, options: Options | Mapping[str, object] | None) -> None:
        self._options = Options.of(options).copy()

    def _send(self, pubs: list[Any], *, dry_run: bool) -> RuntimeJob:
        """Send checked pubs as one job."""
        if not pubs:
            raise InvalidInputError("there is nothing to run: no pubs")
        session, backend = self._place_for(dry_run=dry_run)
        for number, pub in enumerate(pubs):
            _check_width(number, pub.circuit, backend)
            _check_shots(number, pub, backend)
        service = backend.service
        if elsewhere := self.options.not_for(self._program_id):
            warn_user(
                f"{', '.join(elsewhere)}: not an option of a {self._program_id}, and not sent"
            )
        if not service.runs(self._program_id):
            return self._send_as_program(pubs, session, backend)
        try:
            return self._send_pubs(pubs, session, backend)
        except NotFoundError as error:
            if error.code != PROGRAM_NOT_FOUND:
                raise
            service.note_missing(self._program_id)
        return self._send_as_program(pubs, session, backend)

    def _send_pubs(self, pubs: list[Any], session: Session | None, backend: Backend) -> RuntimeJob:
        """Send pubs to the service's own program."""
        if "transpile" not in backend.service.features:
            pubs = [self._for_device(pub, backend) for pub in pubs]
        inputs = {
            "pubs": pubs,
            "options": self.options.on_the_wire(self._program_id),
            "version": _PARAMS_VERSION,
            "support_qiskit": True,
            **self._more_inputs(),
        }
        self._say_what_is_left_out(inputs, backend)
        level = self.options.optimization_level
        return self._run(self._program_id, inputs, session, backend, level)

    def _send_as_program(
        self, pubs: list[Any], session: Session | None, backend: Backend
    ) -> RuntimeJob:
        """Send pubs as a quantum program.

        Raises:
            InvalidInputError: for what a quantum program cannot have.
            UnsupportedError: the service runs no quantum programs either, or qiskit-ibm-runtime,
                which makes them, is missing.
        """
        if not backend.service.runs(EXECUTOR):
            raise UnsupportedError(
                f"this service runs neither {self._program_id!r} nor {EXECUTOR!r} jobs, of which "
                f"a {type(self).__name__} needs one"
            )
        local = backend.service.channel == LOCAL
        pubs = [self._for_device(pub, backend) for pub in pubs]
        values = {**self.options.on_the_wire(self._program_id), **self._more_inputs()}
        if local:
            _check_meas_type(values)
        program, options = prepared(self._program_id, pubs, values, backend, local=local)
        return self._run(EXECUTOR, encoded(program, options, local=local), session, backend)

    def _run(
        self,
        program_id: str,
        inputs: Mapping[str, Any],
        session: Session | None,
        backend: Backend,
        level: int | None = None,
    ) -> RuntimeJob:
        run = self.options.for_the_run()
        if session is not None:
            return session.run(program_id, inputs, run, optimization_level=level)
        return service_of(backend).run(
            program_id, inputs, {"backend": backend, **run}, optimization_level=level
        )

    def _say_what_is_left_out(self, inputs: Mapping[str, Any], backend: Backend) -> None:
        """Warn of options that have no effect.

        Raises:
            InvalidInputError: for an option without which the result would be of another kind.
        """
        if backend.service.channel != LOCAL:
            return
        _check_meas_type(inputs["options"])
        if unheard := ignored_options.names(self._program_id, inputs):
            warn_user(
                f"the local runtime does nothing about {', '.join(unheard)}: "
                f"{ignored_options.reason(unheard)}"
            )

    def _more_inputs(self) -> dict[str, Any]:
        return {}

    def _for_device(self, pub: Any, backend: Backend) -> Any:
        raise NotImplementedError

    def _for_its_device(self, circuit: QuantumCircuit, backend: Backend) -> QuantumCircuit:
        """Return a circuit that the backend can execute: the given one, if it can."""
        if _is_isa(circuit, backend):
            # QPY, and therefore IBM, knows only delays in units of dt.
            return delays_in_dt(circuit, backend.target.dt)
        return transpiled_circuits.get(circuit, backend, self.options.optimization_level)


class Sampler(_Primitive, BaseSamplerV2):
    """Samples circuits: returns the bits that each shot measured.

    Args:
        mode: a Session, a Batch, a backend or its name. None is the session of the surrounding
            `with` block, else the least busy backend.
        options: Options, or a dict of the same names; copied.
        session: another name for mode, from older releases of Qiskit Runtime.
        backend: likewise; beside a session, the backend that the session has to be on.

    Raises:
        InvalidInputError: for a mode or an option that cannot be used.
    """

    _program_id = "sampler"

    def run(
        self,
        pubs: Iterable[SamplerPubLike] | SamplerPubLike,
        *,
        shots: int | None = None,
        dry_run: bool = False,
    ) -> RuntimeJob:
        """Send circuits to be measured.

        A circuit that is not in the backend's instruction set is transpiled for it.

        Args:
            pubs: pubs `(circuit, parameter values, shots)`, of which only the circuit is required;
                or a single pub or circuit. Parameter values of shape (..., parameters) give results
                of shape (...).
            shots: for every pub that names none; None takes `options.default_shots`.
            dry_run: whether to run on the device's mock, to try out a job: at IBM its results are
                random data, and here those of a twin of the backend. It runs outside of sessions.

        Returns:
            A job. Its result has, for each pub, a BitArray for each classical register, of the
            shape of the parameter values.

        Raises:
            InvalidInputError: for a circuit that is wider than the backend or measures nothing,
                and for parameter values or shots that do not fit.
            SessionClosedError: if the session accepts no more jobs.
        """
        return self._send(sampler_pubs(pubs, shots), dry_run=dry_run)

    def _for_device(self, pub: SamplerPub, backend: Backend) -> SamplerPub:
        circuit = self._for_its_device(pub.circuit, backend)
        if circuit is pub.circuit:
            return pub
        return SamplerPub(circuit, pub.parameter_values, pub.shots)


class Estimator(_Primitive, BaseEstimatorV2):
    """Estimates expectation values of observables in the states that circuits prepare.

    Args:
        mode: a Session, a Batch, a backend or its name. None is the session of the surrounding
            `with` block, else the least busy backend.
        options: Options, or a dict of the same names; copied.
        session: another name for mode, from older releases of Qiskit Runtime.
        backend: likewise; beside a session, the backend that the session has to be on.

    Raises:
        InvalidInputError: for a mode or an option that cannot be used.
    """

    _program_id = "estimator"

    def run(
        self,
        pubs: Iterable[EstimatorPubLike] | EstimatorPubLike,
        *,
        precision: float | None = None,
        dry_run: bool = False,
    ) -> RuntimeJob:
        """Send circuits and observables to be estimated.

        A circuit that is not in the backend's instruction set is transpiled for it, and its
        observables with it.

        Args:
            pubs: pubs `(circuit, observables, parameter values, precision)`, of which the first two
                are required; or a single pub. Observables and parameter values (without their last
                axis, the parameters) are broadcast against each other.
            precision: standard error to aim at, for every pub that names none; None takes
                `options.default_precision`.
            dry_run: as for `Sampler.run`.

        Returns:
            A job. Its result has, for each pub, `evs` and `stds`, float arrays of the broadcast
            shape.

        Raises:
            InvalidInputError: for a circuit that is wider than the backend, and for observables,
                parameter values or a precision that do not fit.
            SessionClosedError: if the session accepts no more jobs.
        """
        return self._send(estimator_pubs(pubs, precision), dry_run=dry_run)

    def _more_inputs(self) -> dict[str, Any]:
        level = self.options.resilience_level
        return {} if level is None else {"resilience_level": level}

    def _for_device(self, pub: EstimatorPub, backend: Backend) -> EstimatorPub:
        circuit = self._for_its_device(pub.circuit, backend)
        observables: ObservablesArray = in_paulis(pub.observables)
        if circuit is pub.circuit and observables is pub.observables:
            return pub
        if not _is_isa(pub.circuit, backend):
            observables = observables.apply_layout(circuit.layout)
        return EstimatorPub(circuit, observables, pub.parameter_values, pub.precision)


def _check_meas_type(options: Mapping[str, Any]) -> None:
    """Refuse measurement data that the local runtime does not have."""
    meas_type = options.get("execution", {}).get("meas_type", _BITS)
    if meas_type != _BITS:
        raise InvalidInputError(
            f"execution.meas_type={meas_type!r} is not allowed: the local runtime simulates "
            f"bits and no measurement traces; allowed there: {_BITS!r}"
        )


def _check_width(number: int, circuit: QuantumCircuit, backend: Backend) -> None:
    if circuit.num_qubits > backend.num_qubits:
        raise InvalidInputError(
            f"pub {number}: circuit {circuit.name!r} has {circuit.num_qubits} qubits, and "
            f"{backend.name} has {backend.num_qubits}"
        )


def _check_shots(number: int, pub: SamplerPub | EstimatorPub, backend: Backend) -> None:
    """Refuse more shots than the backend takes, if the pub itself says how many."""
    most = backend.configuration().get("max_shots")
    if most is None:
        return
    if isinstance(pub, EstimatorPub):
        # Divided twice, since the square of a very small number is zero.
        shots = 1 / pub.precision / pub.precision if pub.precision else 0
        # A precision that was computed from shots may come to slightly more shots.
        if shots > most * (1 + 1e-9):
            raise InvalidInputError(
                f"pub {number}: precision={pub.precision:g} takes {shots:.0f} shots, and "
                f"{backend.name} takes at most {most}"
            )
    elif pub.shots is not None and pub.shots > most:
        raise InvalidInputError(
            f"pub {number}: shots={pub.shots}, and {backend.name} takes at most {most}"
        )


def _is_isa(circuit: QuantumCircuit, backend: Backend) -> bool:
    """Whether the backend can execute the circuit as it is."""
    target = backend.target
    if circuit.num_qubits != target.num_qubits:
        return False
    where = {qubit: index for index, qubit in enumerate(circuit.qubits)}
    return all(
        instruction.operation.name == "barrier"
        or target.instruction_supported(
            instruction.operation.name, tuple(where[qubit] for qubit in instruction.qubits)
        )
        for instruction in circuit.data
    )
