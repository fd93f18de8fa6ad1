"""A backend of a service: its configuration, its properties, and Qiskit's target made of them."""

from __future__ import annotations

import copy
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from qiskit.providers import BackendV2
from qiskit.providers import Options as BackendOptions

from qsession_widget.client.backends import backend_record
from qsession_widget.errors import InvalidInputError, UnsupportedError
from qsession_widget.support import validation
from qsession_widget.support.handles import Shared
from qsession_widget.support.value_text import shown
from qsession_widget.wire.fields import MOCK_PREFIX
from qsession_widget.wire.target import build_target

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping

    from qiskit import QuantumCircuit
    from qiskit.transpiler import Target

    from qsession_widget.client.backends.backend_record import Record
    from qsession_widget.client.protocols import Service

NANOSECOND = 1e-9
_FRACTIONAL = frozenset({"rx", "rzz"})


@dataclass(frozen=True)
class BackendStatus:
    """The present state of a backend (GET /backends/{name}/status).

    Attributes:
        backend_name: its name.
        backend_version: version of its configuration.
        operational: whether it takes jobs.
        pending_jobs: how many jobs of all users are waiting or running on it.
        status_msg: the service's word for its state, "active" if it works normally.
    """

    backend_name: str
    backend_version: str
    operational: bool
    pending_jobs: int
    status_msg: str

    def to_dict(self) -> dict[str, str | int | bool]:
        """Return the attributes by name, as IBM's client does."""
        return asdict(self)


class Backend(Shared, BackendV2):
    """A device or simulator of a service. Made by `QiskitRuntimeService.backend(name)`.

    It can be passed to Qiskit's transpiler, and to a Session, Sampler or Estimator. The entries of
    its configuration are also its attributes, as in qiskit-ibm-runtime: `backend.max_shots`.

    Args:
        service: the service that the backend belongs to.
        configuration: JSON of GET /backends/{name}/configuration.
        use_fractional_gates: as for `QiskitRuntimeService.backend`.
    """

    def __init__(
        self,
        service: Service,
        configuration: Mapping[str, Any],
        use_fractional_gates: bool | None = None,
    ) -> None:
        super().__init__(
            provider=service,
            name=configuration["backend_name"],
            description=configuration.get("description"),
            online_date=configuration.get("online_date"),
            backend_version=configuration["backend_version"],
        )
        self._service = service
        self._configuration = backend_record.configuration(configuration)
        self._properties: Record | None = None
        self._fractional = use_fractional_gates
        self._targets: dict[bool, Target] = {}

    def __repr__(self) -> str:
        return f"<{type(self).__name__}({self.name!r}, {self.num_qubits} qubits)>"

    def __getattr__(self, name: str) -> Any:
        # Called for names that are not attributes, also before there is a configuration.
        if name.startswith("_"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        # Looked up by name, since Qiskit asks every backend for attributes that only some have.
        if name not in self._configuration:
            raise AttributeError(
                f"{self!r} has no attribute {name!r}, and neither has its configuration"
            )
        return getattr(self._configuration, name)

    def __call__(self) -> Backend:
        """Return the backend itself, for programs written when `sampler.backend` was a method."""
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (self._service, self.name, self._fractional)

    @property
    def service(self) -> Service:
        """The service that the backend belongs to."""
        return self._service

    @property
    def num_qubits(self) -> int:
        """How many qubits it has, faulty ones included."""
        return int(self._configuration["n_qubits"])

    @property
    def simulator(self) -> bool:
        """Whether it is a simulator, which has no sessions on the service."""
        return bool(self._configuration["simulator"])

    @property
    def max_circuits(self) -> None:
        """Always None, since there is no known limit on the pubs of a job."""
        return

    @property
    def target(self) -> Target:
        """What the backend can do, with errors and durations, for Qiskit's transpiler."""
        return self._target_with(fractional=self._fractional is not False)

    @property
    def plain_target(self) -> Target:
        """The target without fractional gates, unless they were asked for.

        Bare circuits are transpiled for it if the service does not transpile: IBM allows no rzz
        beyond a quarter turn, which an angle of a parametrised circuit may exceed, and no twirling
        with fractional gates.
        """
        return self._target_with(fractional=self._fractional is True)

    @property
    def fractional_gates(self) -> list[str]:
        """Those of IBM's fractional gates, rx and rzz, that it has; empty for simulators."""
        basis = self._configuration["basis_gates"]
        return [] if self.simulator else [name for name in basis if name in _FRACTIONAL]

    @property
    def dtm(self) -> float:
        """Time resolution of its output signals, in seconds.

        Raises:
            NotImplementedError: if the configuration does not say.
        """
        if "dtm" not in self._configuration:
            raise UnsupportedError(f"the configuration of {self.name} names no dtm")
        return float(self._configuration["dtm"]) * NANOSECOND

    @property
    def meas_map(self) -> list[list[int]]:
        """Groups of qubits that are measured together.

        Raises:
            NotImplementedError: if the configuration does not say.
        """
        if "meas_map" not in self._configuration:
            raise UnsupportedError(f"the configuration of {self.name} names no meas_map")
        groups: list[list[int]] = self._configuration["meas_map"]
        return groups

    @property
    def is_mock(self) -> bool:
        """Whether it is a backend's mock, for dry runs."""
        return str(self.name).startswith(MOCK_PREFIX)

    @property
    def calibration_id(self) -> None:
        """Always None: the calibration is the service's own, and none can be chosen."""
        return

    def configuration(self) -> Record:
        """Return its configuration (GET /backends/{name}/configuration).

        Returns:
            The JSON as a dict, in the wire's units (`["dt"]` in nanoseconds), with the attributes
            of qiskit-ibm-runtime's `QasmBackendConfiguration`, in SI units (`.dt` in seconds).
        """
        return copy.copy(self._configuration)

    def properties(
        self, refresh: bool = False, datetime: dt.datetime | None = None
    ) -> Record | None:
        """Return its properties when it was last calibrated (GET /backends/{name}/properties).

        Args:
            refresh: whether to ask the service again.
            datetime: return the last properties before that time, which are not cached; a time
                without a zone is in local time.

        Returns:
            The JSON as a dict, in the wire's units, with the attributes of qiskit-ibm-runtime's
            `BackendProperties`, in SI units: `.t1(0)`, `.gate_error("cx", [0, 1])`. None if the
            backend has none.
        """
        if datetime is not None:
            return self._properties_of(datetime)
        found = self._fetched_properties(refresh=refresh)
        return copy.copy(found) if found else None

    def target_history(self, datetime: dt.datetime | None = None) -> Target:
        """Return the target with the properties of an earlier time.

        Args:
            datetime: as for `properties`; None is now.
        """
        if datetime is None:
            return self.target
        return build_target(self._configuration, self._properties_of(datetime) or {})

    def refresh(self) -> None:
        """Fetch configuration and properties again."""
        configuration = self._service.api.configuration(self.name)
        self._configuration = backend_record.configuration(configuration)
        self._fetched_properties(refresh=True)

    def check_faulty(self, circuit: QuantumCircuit) -> None:
        """Refuse a circuit with instructions on faulty qubits or couplings.

        Args:
            circuit: in the backend's instruction set.

        Raises:
            InvalidInputError: a ValueError, which names the instruction.
        """
        properties = self.properties()
        if not properties:
            return
        qubits = set(properties.faulty_qubits())
        edges = {tuple(gate.qubits) for gate in properties.faulty_gates() if len(gate.qubits) > 1}
        for instruction in circuit.data:
            where = tuple(circuit.find_bit(qubit).index for qubit in instruction.qubits)
            name = instruction.operation.name
            if name != "barrier" and (qubits.intersection(where) or where in edges):
                raise InvalidInputError(
                    f"circuit {circuit.name!r} has {name} on {list(where)}, and {self.name} is out "
                    "of order there"
                )

    def status(self) -> BackendStatus:
        """Return the present state of the backend.

        Raises:
            ServiceUnavailableError: if the service cannot be reached.
        """
        found = self._service.api.backend_status(self.name)
        return BackendStatus(
            backend_name=self.name,
            backend_version=str(found.get("backend_version", "0.0.0")),
            operational=bool(found["state"]),
            pending_jobs=max(int(found.get("length_queue", 0)), 0),
            status_msg=str(found.get("status", "")),
        )

    def run(self, run_input: object, **options: object) -> NoReturn:
        """Refuse: jobs go through the primitives.

        Raises:
            UnsupportedError: always.
        """
        del run_input, options
        raise UnsupportedError(
            f"a backend does not run circuits itself; use Sampler(mode=backend).run([circuit]) or "
            f"Estimator(mode=backend), with backend={self!r}"
        )

    def open_session(self, max_time: int | str | None = None) -> NoReturn:
        """Refuse: a session is an object of its own.

        Raises:
            UnsupportedError: always.
        """
        del max_time
        raise UnsupportedError(
            "a backend does not open sessions itself; write "
            f"`with Session(backend={self.name!r}) as session:` and Sampler(mode=session)"
        )

    @classmethod
    def _default_options(cls) -> BackendOptions:
        return BackendOptions()

    def _target_with(self, *, fractional: bool) -> Target:
        left_out = [] if fractional else self.fractional_gates
        targets = self._targets
        known = targets.get(bool(left_out))
        if known is None:
            all_gates = self._configuration["basis_gates"]
            basis = [name for name in all_gates if name not in left_out]
            # Two threads may both make it, and get the first one: that is better than waiting for
            # the service while holding a lock.
            made = build_target(
                {**self._configuration, "basis_gates": basis}, self._fetched_properties()
            )
            known = targets.setdefault(bool(left_out), made)
        return known

    def _fetched_properties(self, *, refresh: bool = False) -> Record:
        """Return the properties, fetched at the first call and with `refresh`."""
        known = self._properties
        if known is None or refresh:
            found = {} if self.simulator else self._service.api.properties(self.name)
            known = self._properties = backend_record.properties(found)
            self._targets = {}
        return known

    def _properties_of(self, when: dt.datetime) -> Record | None:
        """Fetch the last properties from before a time."""
        if self.simulator:
            return None
        before = when.astimezone().isoformat()
        found = self._service.api.properties(self.name, updated_before=before)
        return backend_record.properties(found) if found else None


def _again(service: Service, name: str, fractional: bool | None) -> Backend:
    found: Backend = service.backend(name, service.active_instance(), fractional)
    return found


def no_calibration(calibration_id: str | None) -> None:
    """Refuse a calibration: none but the service's own can be chosen here.

    Args:
        calibration_id: what was asked for.

    Raises:
        InvalidInputError: for any but None.
    """
    if calibration_id is not None:
        raise InvalidInputError(
            f"calibration_id={shown(calibration_id)} is not allowed: jobs take the device's "
            "present calibration; service.ibm() gives IBM's own client, which can choose one"
        )


def backend_name(backend: object, name: str = "backend") -> str:
    """Return the name of what a user passes as a backend.

    Args:
        backend: a name, a backend of ours, or one of qiskit-ibm-runtime (a real one, or one of
            the fake provider, which the local runtime serves under the same name).
        name: name of the argument in the error message.

    Raises:
        InvalidInputError: for anything else.
    """
    if isinstance(backend, str) and validation.is_text(backend):
        return backend
    official = type(backend).__module__.startswith("qiskit_ibm_runtime.")
    if isinstance(backend, Backend) or (official and isinstance(backend, BackendV2)):
        return str(backend.name)
    raise InvalidInputError(
        f"{name}={shown(backend)} is not a backend of a service; allowed are a name such as "
        "'fake_manila', an object from service.backend(name), and a backend of qiskit-ibm-runtime"
    )
