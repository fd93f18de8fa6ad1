"""Options of primitives and of single runs. A wrong name or value is an error at once."""

# Annotations are not postponed: each option's check is derived from its own (`CheckedOptions`).

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field, fields, is_dataclass
from typing import TYPE_CHECKING, Annotated, Any, Self

from qsession_widget.client.options.checked_options import CheckedOptions
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
from qsession_widget.client.options.option_types import (
    Count,
    LogLevel,
    PositiveNumber,
    Seconds,
    Seed,
    Text,
    Texts,
)
from qsession_widget.errors import InvalidInputError
from qsession_widget.support import validation

if TYPE_CHECKING:
    from qiskit.providers import BackendV2

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
_IMAGE = "image"
"""Key of `experimental` for a job's own image, which is not an input of the program."""

ESTIMATOR_ONLY = ("default_precision", "seed_estimator", "resilience_level", "resilience")
"""Options that a Sampler does not have."""


@dataclass
class Options(CheckedOptions):
    """Options of a Sampler or an Estimator: those of qiskit-ibm-runtime, and two of our own.

    A group may be given as a dict: `Options(twirling={"enable_gates": True})`. Options that only an
    Estimator has are not sent with a Sampler's jobs.

    Attributes:
        optimization_level: level of the transpiler, 0 to 3, for a circuit that is not in the
            backend's instruction set. From 1 on gates that undo each other are cancelled, also
            those of folded circuits (mitiq): 0 keeps them.
        resilience_level: error mitigation of an Estimator, 0 (none) to 2; None leaves it to the
            service: IBM's takes 1. The local runtime mitigates nothing, but if it takes quantum
            programs only, the client mitigates what is asked for.
        default_shots: shots of each pub without its own; None leaves it to the service (4096).
        default_precision: standard error that an Estimator aims at for each pub without its own
            precision; None leaves it to the service (1/64).
        seed: seed of the simulator, for reproducible results. Real devices ignore it. The same as
            `simulator.seed_simulator`, and takes precedence over it.
        seed_estimator: seed of an Estimator's random choices.
        max_execution_time: limit of a job's own running time, in seconds or as text such as "5m".
        dynamical_decoupling: pulses on idle qubits.
        twirling: random Pauli gates.
        resilience: error mitigation of an Estimator, in detail.
        execution: how circuits are executed.
        environment: options that go with every job.
        simulator: options of simulators.
        experimental: a dict for the service, unchecked. As with qiskit-ibm-runtime, an entry with
            the name of an option overrides that option, and "image" is the job's image.

    Raises:
        InvalidInputError: for a name or a value that is not allowed, at construction and at every
            later assignment.
    """

    optimization_level: Annotated[int, validation.whole(0, MAX_OPTIMIZATION_LEVEL)] = 1
    resilience_level: Annotated[int, validation.whole(0, _MAX_RESILIENCE_LEVEL)] | None = None
    default_shots: Count | None = None
    default_precision: PositiveNumber | None = None
    seed: Seed | None = None
    seed_estimator: Seed | None = None
    max_execution_time: Seconds | None = None
    dynamical_decoupling: DynamicalDecouplingOptions = field(
        default_factory=DynamicalDecouplingOptions
    )
    twirling: TwirlingOptions = field(default_factory=TwirlingOptions)
    resilience: ResilienceOptions = field(default_factory=ResilienceOptions)
    execution: ExecutionOptions = field(default_factory=ExecutionOptions)
    environment: EnvironmentOptions = field(default_factory=EnvironmentOptions)
    simulator: SimulatorOptions = field(default_factory=SimulatorOptions)
    experimental: Annotated[dict[str, Any], validation.mapping] | None = None

    @classmethod
    def of(cls, value: Self | Mapping[str, object] | None) -> Self:
        """Return options as `CheckedOptions.of` does; also takes those of qiskit-ibm-runtime.

        Raises:
            InvalidInputError: for a name or value that is not allowed.
        """
        if is_dataclass(value) and type(value).__module__.startswith("qiskit_ibm_runtime.options."):
            return cls(**_official_values(value))
        return super().of(value)

    def on_the_wire(self, program_id: str = "estimator") -> dict[str, Any]:
        """Return the `params.options` of POST /jobs: what was set, and nothing else.

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
        # As qiskit-ibm-runtime: entries with the name of an option override it, the rest stays.
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
        """Return the options that apply to a job as a whole, under the names of RuntimeOptions."""
        found = self.environment.set_values()
        if self.max_execution_time is not None:
            found["max_execution_time"] = self.max_execution_time
        image = (self.experimental or {}).get(_IMAGE)
        if image is not None:
            found["image"] = image
        return found

    def not_for(self, program_id: str) -> list[str]:
        """Return the names of options that were set but are not sent with a program's jobs.

        Args:
            program_id: "sampler" or "estimator".
        """
        if program_id == "estimator":
            return [] if self.execution.meas_type is None else ["execution.meas_type"]
        values = self.set_values()
        return [name for name in ESTIMATOR_ONLY if name in values]


class SamplerOptions(Options):
    """Options of a Sampler: `Options` without those that only an Estimator has.

    Raises:
        InvalidInputError: also for an option that only an Estimator has.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        empty = value is None or (isinstance(value, ResilienceOptions) and not value.set_values())
        if name in ESTIMATOR_ONLY and not empty:
            raise InvalidInputError(
                f"{type(self).__name__} has no option {name!r}: it is only for an Estimator"
            )
        super().__setattr__(name, value)


class EstimatorOptions(Options):
    """Options of an Estimator, under their name in qiskit-ibm-runtime."""


# Names of qiskit_ibm_runtime.options for the same classes.
OptionsV2 = Options
ExecutionOptionsV2 = SamplerExecutionOptionsV2 = ExecutionOptions
ResilienceOptionsV2 = ResilienceOptions


@dataclass
class RuntimeOptions(CheckedOptions):
    """Options of one run of a program (POST /jobs).

    Attributes:
        backend: name of the backend, or a backend object.
        image: runtime image, "image_name:tag". Some accounts may not choose one.
        log_level: DEBUG, INFO, WARNING, ERROR or CRITICAL, in any case.
        instance: CRN of the instance; None for the service's own.
        job_tags: tags by which the job can be found again.
        max_execution_time: limit of the job's own running time, in seconds or as text: "5m".
        session_time: limit of the session that an old service starts with the job, as above.
        private: whether the service deletes the inputs, and returns the result only once.

    Raises:
        InvalidInputError: for a name or a value that is not allowed.
    """

    backend: Annotated["str | BackendV2", validation.device] | None = None
    image: Annotated[str, validation.image] | None = None
    log_level: LogLevel | None = None
    instance: Text | None = None
    job_tags: Texts | None = None
    max_execution_time: Seconds | None = None
    session_time: Seconds | None = None
    _: KW_ONLY
    private: bool | None = None

    def on_the_wire(self) -> dict[str, Any]:
        """Return the top-level keys of POST /jobs that these options set, without the backend."""
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
    """Merge the second dict into the first, recursively."""
    if not isinstance(one, Mapping) or not isinstance(other, Mapping):
        return other
    return {**one, **{key: _merged(one.get(key), value) for key, value in other.items()}}


def _official_values(options: Any) -> dict[str, Any]:
    """Return what is set in options of qiskit-ibm-runtime, without its marker for "not set"."""
    found = {}
    for each in fields(options):
        value = getattr(options, each.name)
        if is_dataclass(value):
            value = _official_values(value)
        if not each.name.startswith("_") and type(value).__name__ != "UnsetType":
            found[each.name] = value
    return found
