"""Options of primitives and of single runs. A wrong name or value is refused at once, by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field, fields, is_dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

from qsession_widget.client.options.groups import (
    DynamicalDecouplingOptions,
    EnvironmentOptions,
    ExecutionOptions,
    LayerNoiseLearningOptions,
    MeasureNoiseLearningOptions,
    PecOptions,
    ResilienceOptions,
    SimulatorOptions,
    TwirlingOptions,
    ZneOptions,
)
from qsession_widget.errors import InvalidInputError
from qsession_widget.support import validation
from qsession_widget.support.validation import Checked

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qiskit.providers import BackendV2

    from qsession_widget.support.validation import Check

__all__ = [
    "DynamicalDecouplingOptions",
    "EnvironmentOptions",
    "EstimatorOptions",
    "ExecutionOptions",
    "ExecutionOptionsV2",
    "LayerNoiseLearningOptions",
    "MeasureNoiseLearningOptions",
    "Options",
    "OptionsV2",
    "PecOptions",
    "ResilienceOptions",
    "ResilienceOptionsV2",
    "RuntimeOptions",
    "SamplerExecutionOptionsV2",
    "SamplerOptions",
    "SimulatorOptions",
    "TwirlingOptions",
    "ZneOptions",
]


MAX_OPTIMIZATION_LEVEL = 3
_MAX_RESILIENCE_LEVEL = 2
_MAX_SEED = 2**63 - 1
_IMAGE = "image"
"""Of `experimental`: a job's own image, which is no input of the program."""

ESTIMATOR_ONLY = ("default_precision", "seed_estimator", "resilience_level", "resilience")
"""Options that a Sampler has no use for."""


@dataclass
class Options(Checked):
    """Options of a Sampler or an Estimator: those of qiskit-ibm-runtime, and two of our own.

    A group may be given as a dict: `Options(twirling={"enable_gates": True})`. What is only for an
    Estimator is not sent with a Sampler's jobs.

    Attributes:
        optimization_level: how hard the transpiler works on a circuit that is not in the device's
            instruction set, 0 to 3. From 1 on gates that undo each other are cancelled, folded ones
            (mitiq) too: 0 keeps them.
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
        experimental: a dict for the service, unchecked. As with qiskit-ibm-runtime, what has the
            name of an option is laid over that option, and "image" is the job's image.

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
        "optimization_level": validation.whole(0, MAX_OPTIMIZATION_LEVEL),
        "resilience_level": validation.whole(0, _MAX_RESILIENCE_LEVEL),
        "default_shots": validation.whole(1),
        "default_precision": validation.number(0, above=True),
        "seed": validation.whole(0, _MAX_SEED),
        "seed_estimator": validation.whole(0, _MAX_SEED),
        "max_execution_time": validation.seconds,
        "dynamical_decoupling": validation.group(DynamicalDecouplingOptions),
        "twirling": validation.group(TwirlingOptions),
        "resilience": validation.group(ResilienceOptions),
        "execution": validation.group(ExecutionOptions),
        "environment": validation.group(EnvironmentOptions),
        "simulator": validation.group(SimulatorOptions),
        "experimental": validation.mapping,
    }

    @classmethod
    def of(cls, value: Self | Mapping[str, object] | None) -> Self:
        """Take options as `Checked.of` does; also those of qiskit-ibm-runtime.

        Raises:
            InvalidInputError: for a name or value that is not allowed.
        """
        if is_dataclass(value) and type(value).__module__.startswith("qiskit_ibm_runtime.options."):
            return cls(**_official_values(value))
        return super().of(value)

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
        # As qiskit-ibm-runtime: what has a place of its own goes there, the rest stays.
        rest = {}
        for key, value in (self.experimental or {}).items():
            if key in wanted:
                found[key] = _merged(found.get(key), value)
            elif key != _IMAGE:
                rest[key] = value
        if rest:
            found["experimental"] = rest
        return {name: value for name, value in found.items() if value != {}}

    def for_the_run(self) -> dict[str, Any]:
        """Give what these options say about a job as a whole, in the names of RuntimeOptions."""
        found = self.environment.set_values()
        if self.max_execution_time is not None:
            found["max_execution_time"] = self.max_execution_time
        image = (self.experimental or {}).get(_IMAGE)
        if image is not None:
            found["image"] = image
        return found

    def not_for(self, program_id: str) -> list[str]:
        """Name the options that were set and are not sent with a program's jobs.

        Args:
            program_id: "sampler" or "estimator".
        """
        if program_id == "estimator":
            return [] if self.execution.meas_type is None else ["execution.meas_type"]
        values = self.set_values()
        return [name for name in ESTIMATOR_ONLY if name in values]


class SamplerOptions(Options):
    """Options of a Sampler: `Options` without those that are only for an Estimator.

    Raises:
        InvalidInputError: also for an option that is only for an Estimator.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        empty = value is None or (isinstance(value, ResilienceOptions) and not value.set_values())
        if name in ESTIMATOR_ONLY and not empty:
            raise InvalidInputError(
                f"{type(self).__name__} has no option {name!r}: it is only for an Estimator"
            )
        super().__setattr__(name, value)


class EstimatorOptions(Options):
    """Options of an Estimator, under the name that they have in qiskit-ibm-runtime."""


# Names that qiskit_ibm_runtime.options has for the same.
OptionsV2 = Options
ExecutionOptionsV2 = SamplerExecutionOptionsV2 = ExecutionOptions
ResilienceOptionsV2 = ResilienceOptions


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
        "backend": validation.device,
        "image": validation.image,
        "log_level": validation.log_level,
        "instance": validation.text,
        "job_tags": validation.tags,
        "max_execution_time": validation.seconds,
        "session_time": validation.seconds,
        "private": validation.boolean,
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


def _official_values(options: Any) -> dict[str, Any]:
    """Read what is set in options of qiskit-ibm-runtime, whose mark for "not set" is no value."""
    found = {}
    for each in fields(options):
        value = getattr(options, each.name)
        if is_dataclass(value):
            value = _official_values(value)
        if not each.name.startswith("_") and type(value).__name__ != "UnsetType":
            found[each.name] = value
    return found
