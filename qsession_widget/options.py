"""Options of primitives and of single runs. A wrong name or value is refused at once, by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar

from qsession_widget import checked
from qsession_widget.checked import Checked
from qsession_widget.suboptions import (
    DynamicalDecouplingOptions,
    EnvironmentOptions,
    ExecutionOptions,
    ResilienceOptions,
    SimulatorOptions,
    TwirlingOptions,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qiskit.providers import BackendV2

    from qsession_widget.checked import Check

MAX_OPTIMIZATION_LEVEL = 3
_MAX_RESILIENCE_LEVEL = 2
_MAX_SEED = 2**63 - 1


@dataclass
class Options(Checked):
    """Options of a Sampler or an Estimator: those of qiskit-ibm-runtime, and two of our own.

    A group may be given as a dict: `Options(twirling={"enable_gates": True})`. What is only for an
    Estimator is not sent with a Sampler's jobs.

    Attributes:
        optimization_level: how hard the transpiler works on a circuit that is not in the device's
            instruction set, 0 to 3.
        resilience_level: error mitigation of an Estimator, 0 (none) to 2; None leaves it to the
            service: IBM's takes 1. The local runtime mitigates nothing.
        default_shots: shots for each pub that names none; None leaves it to the service (4096).
        default_precision: standard error that an Estimator aims at for each pub that names none;
            None leaves it to the service (1/64).
        seed: seed of the simulator, for the same result every time. Real devices ignore it. The
            same as `simulator.seed_simulator`, and comes before it.
        seed_estimator: seed of an Estimator's random choices.
        max_execution_time: limit of a job's own running time, seconds or text such as "5m".
        dynamical_decoupling: pulses on idle qubits.
        twirling: random Pauli gates.
        resilience: what an Estimator does against errors, in detail.
        execution: how circuits are executed.
        environment: what goes with every job.
        simulator: for simulators.
        experimental: a dict for the service, unchecked.

    Raises:
        InvalidInputError: for a name or a value that is not allowed, at construction and at every
            later assignment.
    """

    optimization_level: int = 1
    resilience_level: int | None = None
    default_shots: int | None = None
    default_precision: float | None = None
    seed: int | None = None
    seed_estimator: int | None = None
    max_execution_time: int | str | None = None
    dynamical_decoupling: DynamicalDecouplingOptions = field(
        default_factory=DynamicalDecouplingOptions
    )
    twirling: TwirlingOptions = field(default_factory=TwirlingOptions)
    resilience: ResilienceOptions = field(default_factory=ResilienceOptions)
    execution: ExecutionOptions = field(default_factory=ExecutionOptions)
    environment: EnvironmentOptions = field(default_factory=EnvironmentOptions)
    simulator: SimulatorOptions = field(default_factory=SimulatorOptions)
    experimental: dict[str, Any] | None = None

    _CHECKS: ClassVar[Mapping[str, Check]] = {
        "optimization_level": checked.whole(0, MAX_OPTIMIZATION_LEVEL),
        "resilience_level": checked.whole(0, _MAX_RESILIENCE_LEVEL),
        "default_shots": checked.whole(1),
        "default_precision": checked.number(0, above=True),
        "seed": checked.whole(0, _MAX_SEED),
        "seed_estimator": checked.whole(0, _MAX_SEED),
        "max_execution_time": checked.seconds,
        "dynamical_decoupling": checked.group(DynamicalDecouplingOptions),
        "twirling": checked.group(TwirlingOptions),
        "resilience": checked.group(ResilienceOptions),
        "execution": checked.group(ExecutionOptions),
        "environment": checked.group(EnvironmentOptions),
        "simulator": checked.group(SimulatorOptions),
        "experimental": checked.mapping,
    }

    def on_the_wire(self, program_id: str = "estimator") -> dict[str, Any]:
        """Give the `params.options` of POST /jobs: what was set, and nothing else.

        Args:
            program_id: "sampler" or "estimator".

        Raises:
            InvalidInputError: for options that do not go together.
        """
        wanted = ["default_shots", "dynamical_decoupling", "twirling", "execution", "simulator"]
        if program_id == "estimator":
            self.resilience.check()
            wanted += ["default_precision", "seed_estimator", "resilience"]
        values = self.set_values()
        found = {name: values[name] for name in wanted if name in values}
        if self.seed is not None:
            found["simulator"] = {**found.get("simulator", {}), "seed_simulator": self.seed}
        if program_id == "estimator" and "execution" in found:
            found["execution"] = {**found["execution"]}
            found["execution"].pop("meas_type", None)
        if self.experimental:
            # As qiskit-ibm-runtime: what has a place of its own goes there, the rest stays.
            rest = {key: value for key, value in self.experimental.items() if key not in found}
            for key in self.experimental.keys() & found.keys():
                found[key] = _merged(found[key], self.experimental[key])
            if rest:
                found["experimental"] = rest
        return {name: value for name, value in found.items() if value != {}}

    def for_the_run(self) -> dict[str, Any]:
        """Give what these options say about a job as a whole, in the names of RuntimeOptions."""
        found = self.environment.set_values()
        if self.max_execution_time is not None:
            found["max_execution_time"] = self.max_execution_time
        return found

    def mitigates(self) -> list[str]:
        """Name the options that ask for something against errors, for those who cannot do it."""
        resilience = self.resilience
        return [
            name
            for name, wanted in (
                ("resilience_level", bool(self.resilience_level)),
                ("dynamical_decoupling", bool(self.dynamical_decoupling.enable)),
                ("twirling.enable_gates", bool(self.twirling.enable_gates)),
                ("twirling.enable_measure", bool(self.twirling.enable_measure)),
                ("resilience.measure_mitigation", bool(resilience.measure_mitigation)),
                ("resilience.zne_mitigation", bool(resilience.zne_mitigation)),
                ("resilience.pec_mitigation", bool(resilience.pec_mitigation)),
            )
            if wanted
        ]


@dataclass
class RuntimeOptions(Checked):
    """Options of one run of a program (POST /jobs).

    Attributes:
        backend: name of the device, or a backend object.
        image: runtime image, "image_name:tag". Not every account may choose one.
        log_level: DEBUG, INFO, WARNING, ERROR or CRITICAL, in any case.
        instance: CRN of the instance; None is the service's own.
        job_tags: texts by which the job can be found again.
        max_execution_time: limit of the job's own running time, seconds or text such as "5m".
        session_time: limit of the session that an old service starts with the job, likewise.
        private: whether the service forgets the inputs, and gives the result once.

    Raises:
        InvalidInputError: for a name or a value that is not allowed.
    """

    backend: str | BackendV2 | None = None
    image: str | None = None
    log_level: str | None = None
    instance: str | None = None
    job_tags: Sequence[str] | None = None
    max_execution_time: int | str | None = None
    session_time: int | str | None = None
    _: KW_ONLY
    private: bool | None = None

    _CHECKS: ClassVar[Mapping[str, Check]] = {
        "backend": checked.anything,
        "image": checked.image,
        "log_level": checked.log_level,
        "instance": checked.text,
        "job_tags": checked.tags,
        "max_execution_time": checked.seconds,
        "session_time": checked.seconds,
        "private": checked.boolean,
    }

    def on_the_wire(self) -> dict[str, Any]:
        """Give the top-level keys of POST /jobs that these options set, without the backend."""
        keys = {
            "image": "runtime",
            "log_level": "log_level",
            "job_tags": "tags",
            "max_execution_time": "cost",
            "session_time": "session_time",
            "private": "private",
        }
        return {
            key: getattr(self, each.name)
            for each in fields(self)
            if (key := keys.get(each.name)) and getattr(self, each.name) is not None
        }


def _merged(one: Any, other: Any) -> Any:
    """Lay one dict over another, all the way down."""
    if not isinstance(one, Mapping) or not isinstance(other, Mapping):
        return other
    return {**one, **{key: _merged(one.get(key), value) for key, value in other.items()}}
