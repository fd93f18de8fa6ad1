"""Sampler and Estimator: Qiskit's primitives, run as jobs of a service."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from qiskit import QuantumCircuit
from qiskit.circuit import ControlFlowOp
from qiskit.exceptions import QiskitError
from qiskit.primitives import BaseEstimatorV2, BaseSamplerV2
from qiskit.primitives.containers.estimator_pub import EstimatorPub
from qiskit.primitives.containers.sampler_pub import SamplerPub

from qsession_widget.accounts import LOCAL
from qsession_widget.backend import Backend, backend_name
from qsession_widget.errors import InvalidInputError
from qsession_widget.options import Options
from qsession_widget.places import service_of
from qsession_widget.service import default_service
from qsession_widget.session import Session, find_session
from qsession_widget.surrounding import surrounding_session
from qsession_widget.transpiling import transpiled_circuits

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from qiskit.primitives.containers import EstimatorPubLike, SamplerPubLike
    from qiskit.primitives.containers.observables_array import ObservablesArray
    from qiskit.providers import BackendV2

    from qsession_widget.job import RuntimeJob

_PARAMS_VERSION = 2
"""`params.version`: pubs, and not the first version's separate lists of circuits and values."""


class Placed:
    """What all that send jobs share: where the jobs run.

    Args:
        mode: a Session, a Batch, a backend or its name. None is the session of the surrounding
            `with` block, else the least busy device.
        session: another name for mode.
    """

    def __init__(
        self,
        mode: Session | str | BackendV2 | None = None,
        *,
        session: Session | str | BackendV2 | None = None,
    ) -> None:
        if mode is not None and session is not None:
            raise InvalidInputError("mode= and session= are two names for the same: give one")
        given = mode if mode is not None else session
        self._mode: Session | Backend | None
        if isinstance(given, (Session, Backend)):
            self._mode = given
        elif given is None:
            self._mode = surrounding_session()
        elif hasattr(given, "session_id"):
            self._mode = find_session(given)
        else:
            self._mode = service_of(given).backend(backend_name(given))

    @property
    def mode(self) -> Session | Backend | None:
        """Where its jobs run; None is decided at each run.

        That is the session of the `with` block around the run, else the least busy device.
        """
        return self._mode

    def _place(self) -> tuple[Session | None, Backend]:
        """Give the session, if any, and the device that a job goes to now."""
        mode = self._mode or surrounding_session()
        if isinstance(mode, Session):
            return mode, mode.device
        return None, mode or default_service().least_busy(simulator=False)


class _Primitive(Placed):
    """What Sampler and Estimator share: their options, and how a job is sent."""

    _program_id: str

    def __init__(
        self,
        mode: Session | str | BackendV2 | None = None,
        options: Options | Mapping[str, object] | None = None,
        *,
        session: Session | str | BackendV2 | None = None,
    ) -> None:
        super().__init__(mode, session=session)
        self.options = Options.of(options)
        """Options of every job; they may be changed, and are checked then."""

    def _send(self, pubs: list[Any]) -> RuntimeJob:
        """Send checked pubs as one job."""
        if not pubs:
            raise InvalidInputError("there is nothing to run: no pubs")
        session, backend = self._place()
        for number, pub in enumerate(pubs):
            _check_width(number, pub.circuit, backend)
            _check_shots(number, pub, backend)
        features = backend.service.features
        if "transpile" not in features:
            pubs = [self._for_device(pub, backend) for pub in pubs]
        if backend.service.channel == LOCAL and (unheard := self.options.mitigates()):
            warnings.warn(
                f"the local runtime does nothing against errors: {', '.join(unheard)} changes "
                "nothing there",
                UserWarning,
                stacklevel=3,
            )
        inputs = {
            "pubs": pubs,
            "options": self.options.on_the_wire(self._program_id),
            "version": _PARAMS_VERSION,
            "support_qiskit": True,
            **self._more_inputs(),
        }
        level = self.options.optimization_level
        run = self.options.for_the_run()
        if session is not None:
            return session.run(self._program_id, inputs, run, optimization_level=level)
        return backend.service.run(
            self._program_id, inputs, {"backend": backend, **run}, optimization_level=level
        )

    def _more_inputs(self) -> dict[str, Any]:
        return {}

    def _for_device(self, pub: Any, backend: Backend) -> Any:
        raise NotImplementedError

    def _transpiled(self, circuit: QuantumCircuit, backend: Backend) -> QuantumCircuit:
        return transpiled_circuits.get(circuit, backend, self.options.optimization_level)


class Sampler(_Primitive, BaseSamplerV2):  # type: ignore[misc] # qiskit has no types
    """Measures circuits, and gives what every shot read.

    Args:
        mode: a Session, a Batch, a backend or its name. None is the session of the surrounding
            `with` block, else the least busy device.
        options: Options, or a dict of the same names.
        session: another name for mode, from older releases of Qiskit Runtime.

    Raises:
        InvalidInputError: for a mode or an option that cannot be used.
    """

    _program_id = "sampler"

    def run(
        self,
        pubs: Iterable[SamplerPubLike] | SamplerPubLike,
        *,
        shots: int | None = None,
    ) -> RuntimeJob:
        """Send circuits to be measured.

        A circuit that is not in the device's instruction set is transpiled for it.

        Args:
            pubs: pubs `(circuit, parameter values, shots)`, of which only the circuit is needed;
                or one pub, or one circuit, by itself. Parameter values of shape (..., parameters)
                give results of shape (...).
            shots: for every pub that names none; None takes `options.default_shots`.

        Returns:
            A job. Its result has, for each pub, a BitArray for each classical register, of the
            shape of the parameter values.

        Raises:
            InvalidInputError: for a circuit that is wider than the device or measures nothing,
                and for parameter values or shots that do not fit.
            SessionClosedError: where the session takes no more jobs.
        """
        coerced = []
        for number, pub in enumerate(_listed(pubs)):
            try:
                checked = SamplerPub.coerce(pub, shots)
            except (QiskitError, TypeError, ValueError) as error:
                raise InvalidInputError(f"pub {number}: {error}") from error
            if not _measures(checked.circuit):
                raise InvalidInputError(
                    f"pub {number}: circuit {checked.circuit.name!r} measures nothing, so a "
                    "Sampler has nothing to give; add circuit.measure_all() or measure(...)"
                )
            coerced.append(checked)
        return self._send(coerced)

    def _for_device(self, pub: SamplerPub, backend: Backend) -> SamplerPub:
        if _is_isa(pub.circuit, backend):
            return pub
        circuit = self._transpiled(pub.circuit, backend)
        return SamplerPub(circuit, pub.parameter_values, pub.shots)


class Estimator(_Primitive, BaseEstimatorV2):  # type: ignore[misc] # qiskit has no types
    """Estimates expectation values of observables in the states that circuits prepare.

    Args:
        mode: a Session, a Batch, a backend or its name. None is the session of the surrounding
            `with` block, else the least busy device.
        options: Options, or a dict of the same names.
        session: another name for mode, from older releases of Qiskit Runtime.

    Raises:
        InvalidInputError: for a mode or an option that cannot be used.
    """

    _program_id = "estimator"

    def run(
        self,
        pubs: Iterable[EstimatorPubLike] | EstimatorPubLike,
        *,
        precision: float | None = None,
    ) -> RuntimeJob:
        """Send circuits and observables to be estimated.

        A circuit that is not in the device's instruction set is transpiled for it, and its
        observables with it.

        Args:
            pubs: pubs `(circuit, observables, parameter values, precision)`, of which the first two
                are needed; or one pub by itself. Observables and parameter values (without their
                last axis, the parameters) are broadcast against each other.
            precision: standard error to aim at, for every pub that names none; None takes
                `options.default_precision`.

        Returns:
            A job. Its result has, for each pub, `evs` and `stds`, float arrays of the broadcast
            shape.

        Raises:
            InvalidInputError: for a circuit that is wider than the device, and for observables,
                parameter values or a precision that do not fit.
            SessionClosedError: where the session takes no more jobs.
        """
        coerced = []
        for number, pub in enumerate(_listed(pubs)):
            try:
                coerced.append(EstimatorPub.coerce(pub, precision))
            except (QiskitError, TypeError, ValueError) as error:
                raise InvalidInputError(f"pub {number}: {error}") from error
        return self._send(coerced)

    def _more_inputs(self) -> dict[str, Any]:
        level = self.options.resilience_level
        return {} if level is None else {"resilience_level": level}

    def _for_device(self, pub: EstimatorPub, backend: Backend) -> EstimatorPub:
        if _is_isa(pub.circuit, backend):
            return pub
        circuit = self._transpiled(pub.circuit, backend)
        observables: ObservablesArray = pub.observables.apply_layout(circuit.layout)
        return EstimatorPub(circuit, observables, pub.parameter_values, pub.precision)


def _listed(pubs: Any) -> list[Any]:
    """Give a list of pubs where one pub may stand by itself."""
    alone = isinstance(pubs, (QuantumCircuit, SamplerPub, EstimatorPub)) or (
        # A tuple is one pub where a circuit is followed by something that is no circuit.
        isinstance(pubs, tuple)
        and len(pubs) > 1
        and isinstance(pubs[0], QuantumCircuit)
        and not isinstance(pubs[1], (QuantumCircuit, tuple))
    )
    if alone:
        return [pubs]
    try:
        return list(pubs)
    except TypeError as error:
        raise InvalidInputError(
            f"pubs={pubs!r} is no circuit, no pub and no list of pubs"
        ) from error


def _check_width(number: int, circuit: QuantumCircuit, backend: Backend) -> None:
    if circuit.num_qubits > backend.num_qubits:
        raise InvalidInputError(
            f"pub {number}: circuit {circuit.name!r} has {circuit.num_qubits} qubits, and "
            f"{backend.name} has {backend.num_qubits}"
        )


def _check_shots(number: int, pub: SamplerPub | EstimatorPub, backend: Backend) -> None:
    """Refuse more shots than the device takes, where the pub itself says how many."""
    most = backend.configuration().get("max_shots")
    if most is None:
        return
    if isinstance(pub, EstimatorPub):
        # Divided twice, since the square of a very small number is none.
        shots = 1 / pub.precision / pub.precision if pub.precision else 0
        # One over a root of shots may come to a little more than so many.
        if shots > most * (1 + 1e-9):
            raise InvalidInputError(
                f"pub {number}: precision={pub.precision:g} takes {shots:.0f} shots, and "
                f"{backend.name} takes at most {most}"
            )
    elif pub.shots is not None and pub.shots > most:
        raise InvalidInputError(
            f"pub {number}: shots={pub.shots}, and {backend.name} takes at most {most}"
        )


def _measures(circuit: QuantumCircuit) -> bool:
    """Whether anything in the circuit, or in its branches and loops, writes a classical bit."""
    # Counting is quick; looking at each instruction is not, and happens in every iteration.
    return "measure" in circuit.count_ops() or any(
        any(_measures(block) for block in instruction.operation.blocks)
        if isinstance(instruction.operation, ControlFlowOp)
        else bool(instruction.clbits)
        for instruction in circuit.data
    )


def _is_isa(circuit: QuantumCircuit, backend: Backend) -> bool:
    """Whether the device can execute the circuit as it is."""
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
