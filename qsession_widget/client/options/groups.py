"""Groups of options of the primitives: the names, values and limits of qiskit-ibm-runtime.

None means "not set": the service decides. IBM's service supports all of them. The local runtime
simulates a device's noise and does not mitigate it; it warns if an option asks it to.
"""

# Annotations are not postponed: each option's check is derived from its own (`CheckedOptions`).
# Types in quotes are imported by type checkers alone; a check stands beside each of them.

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Literal

from qsession_widget.client.options.checked_options import CheckedOptions
from qsession_widget.client.options.option_types import (
    Count,
    CountFromZero,
    LogLevel,
    NumberFromOne,
    NumberFromZero,
    PositiveNumber,
    Seed,
    Texts,
)
from qsession_widget.errors import InvalidInputError
from qsession_widget.support import validation
from qsession_widget.support.validation import refusal

if TYPE_CHECKING:
    from qiskit.providers import BackendV2
    from qiskit.transpiler import CouplingMap
    from qiskit_aer.noise import NoiseModel
    from qiskit_ibm_runtime.utils.noise_learner_result import LayerError, NoiseLearnerResult

_EXTRAPOLATORS = {
    "linear": 2,
    "exponential": 2,
    "double_exponential": 4,
    "fallback": 2,
    **{f"polynomial_degree_{degree}": degree + 1 for degree in range(1, 8)},
}
"""The ways to extrapolate to zero noise, and how many noise factors each needs."""

_NOISE_FACTORS = (1.0, 3.0, 5.0)
_EXTRAPOLATION = ("exponential", "linear")

Extrapolator = Annotated[str, validation.one_of(*_EXTRAPOLATORS)]


@dataclass
class DynamicalDecouplingOptions(CheckedOptions):
    """Pulses on idle qubits against their decoherence.

    Attributes:
        enable: whether to apply them.
        sequence_type: which pulses: "XX", "XpXm" or "XY4".
        extra_slack_distribution: where to put remaining idle time: "middle" or "edges".
        scheduling_method: whether gates come "alap", as late as possible, or "asap".
        skip_reset_qubits: whether to leave out qubits that are still in their ground state.
    """

    enable: bool | None = None
    sequence_type: Literal["XX", "XpXm", "XY4"] | None = None
    extra_slack_distribution: Literal["middle", "edges"] | None = None
    scheduling_method: Literal["alap", "asap"] | None = None
    skip_reset_qubits: bool | None = None


@dataclass
class TwirlingOptions(CheckedOptions):
    """Random Pauli gates that turn errors into Pauli errors.

    Attributes:
        enable_gates: whether to twirl two-qubit gates.
        enable_measure: whether to twirl measurements.
        num_randomizations: how many random circuits, or "auto".
        shots_per_randomization: shots for each of them, or "auto".
        strategy: which qubits to twirl: "active", "active-accum", "active-circuit" or "all".
    """

    enable_gates: bool | None = None
    enable_measure: bool | None = None
    num_randomizations: Count | Literal["auto"] | None = None
    shots_per_randomization: Count | Literal["auto"] | None = None
    strategy: Literal["active", "active-accum", "active-circuit", "all"] | None = None


@dataclass
class MeasureNoiseLearningOptions(CheckedOptions):
    """How the noise of measurements is learned, for an Estimator.

    Attributes:
        num_randomizations: how many random circuits.
        shots_per_randomization: shots for each of them, or "auto".
    """

    num_randomizations: Count | None = None
    shots_per_randomization: Count | Literal["auto"] | None = None


@dataclass
class ZneOptions(CheckedOptions):
    """Zero-noise extrapolation, for an Estimator.

    Attributes:
        amplifier: how noise is amplified: "gate_folding", "gate_folding_front",
            "gate_folding_back" or "pea".
        noise_factors: by which factors, each at least 1.
        extrapolator: the fit, or several to try in order: "linear", "exponential",
            "double_exponential", "fallback", "polynomial_degree_1" to "polynomial_degree_7".
        extrapolated_noise_factors: where to evaluate the fits.
    """

    amplifier: Literal["gate_folding", "gate_folding_front", "gate_folding_back", "pea"] | None = (
        None
    )
    noise_factors: Sequence[NumberFromOne] | None = None
    extrapolator: Sequence[Extrapolator] | Extrapolator | None = None
    extrapolated_noise_factors: Sequence[NumberFromZero] | None = None

    def check(self) -> None:
        """Check that there are enough noise factors for each fit.

        Raises:
            InvalidInputError: a ValueError that names the fit.
        """
        fits = _EXTRAPOLATION if self.extrapolator is None else self.extrapolator
        factors = _NOISE_FACTORS if self.noise_factors is None else self.noise_factors
        for fit in [fits] if isinstance(fits, str) else fits:
            if len(factors) < _EXTRAPOLATORS[fit]:
                needed = f"at least {_EXTRAPOLATORS[fit]} of them for {fit!r}"
                raise refusal("noise_factors", list(factors), needed)


@dataclass
class PecOptions(CheckedOptions):
    """Probabilistic error cancellation, for an Estimator.

    Attributes:
        max_overhead: largest factor by which the number of circuits may grow.
        noise_gain: how much noise remains, 0 for none, or "auto".
    """

    max_overhead: PositiveNumber | None = None
    noise_gain: NumberFromZero | Literal["auto"] | None = None


@dataclass
class LayerNoiseLearningOptions(CheckedOptions):
    """How the noise of layers of gates is learned, for an Estimator.

    Attributes:
        max_layers_to_learn: how many different layers at most.
        shots_per_randomization: shots for each random circuit.
        num_randomizations: how many random circuits.
        layer_pair_depths: depths of the circuits, in pairs of layers.
    """

    max_layers_to_learn: CountFromZero | None = None
    shots_per_randomization: Count | None = None
    num_randomizations: Count | None = None
    layer_pair_depths: Sequence[CountFromZero] | None = None


@dataclass
class ResilienceOptions(CheckedOptions):
    """Error mitigation of an Estimator, in detail.

    Attributes:
        measure_mitigation: whether to correct measurements.
        measure_noise_learning: how their noise is learned.
        zne_mitigation: whether to extrapolate to zero noise.
        zne: how to extrapolate.
        pec_mitigation: whether to cancel errors; not together with `zne_mitigation`.
        pec: how to cancel them.
        layer_noise_learning: how the noise of layers is learned.
        layer_noise_model: noise that was learned before, as an object of qiskit-ibm-runtime.
    """

    measure_mitigation: bool | None = None
    measure_noise_learning: MeasureNoiseLearningOptions = field(
        default_factory=MeasureNoiseLearningOptions
    )
    zne_mitigation: bool | None = None
    zne: ZneOptions = field(default_factory=ZneOptions)
    pec_mitigation: bool | None = None
    pec: PecOptions = field(default_factory=PecOptions)
    layer_noise_learning: LayerNoiseLearningOptions = field(
        default_factory=LayerNoiseLearningOptions
    )
    layer_noise_model: (
        Annotated["NoiseLearnerResult | Sequence[LayerError]", validation.anything] | None
    ) = None

    def check(self) -> None:
        """Check that the options go together.

        Raises:
            InvalidInputError: a ValueError that names the two that do not.
        """
        self.zne.check()
        if self.zne_mitigation and self.pec_mitigation:
            raise InvalidInputError("zne_mitigation and pec_mitigation do not go together")
        if self.measure_noise_learning.set_values() and not self.measure_mitigation:
            raise InvalidInputError(
                "measure_noise_learning is set, and measure_mitigation is not True"
            )


@dataclass
class ExecutionOptions(CheckedOptions):
    """How circuits are executed.

    Attributes:
        init_qubits: whether qubits are reset before each shot.
        rep_delay: seconds between shots.
        meas_type: type of a Sampler's data: "classified" bits, "kerneled" or "avg_kerneled" points.
    """

    init_qubits: bool | None = None
    rep_delay: NumberFromZero | None = None
    meas_type: Literal["classified", "kerneled", "avg_kerneled"] | None = None


@dataclass
class EnvironmentOptions(CheckedOptions):
    """Options that go with every job.

    Attributes:
        log_level: DEBUG, INFO, WARNING, ERROR or CRITICAL, in any case.
        job_tags: tags by which the jobs can be found again.
        private: whether the service deletes the inputs, and returns the result only once.
    """

    log_level: LogLevel | None = None
    job_tags: Texts | None = None
    private: bool | None = None


@dataclass
class SimulatorOptions(CheckedOptions):
    """Options of simulators. Real devices ignore them.

    Attributes:
        noise_model: a NoiseModel of Aer, or a dict of one.
        seed_simulator: seed, for reproducible results.
        coupling_map: pairs of coupled qubits, or a CouplingMap.
        basis_gates: names of gates.
    """

    noise_model: Annotated["NoiseModel | Mapping[str, object]", validation.noise_model] | None = (
        None
    )
    seed_simulator: Seed | None = None
    coupling_map: (
        Annotated["Sequence[Sequence[int]] | CouplingMap", validation.coupling_map] | None
    ) = None
    basis_gates: Texts | None = None

    def set_backend(self, backend: "BackendV2") -> None:
        """Set the noise, coupling and gates to those of a backend's target.

        Args:
            backend: the backend.

        Raises:
            InvalidInputError: if it is not a backend.
        """
        from qiskit.providers import BackendV2  # noqa: PLC0415 - these options need no Qiskit
        from qiskit_aer.noise import NoiseModel  # noqa: PLC0415 - as above

        if not isinstance(backend, BackendV2):
            raise refusal("backend", backend, "a backend, such as service.backend(name)")
        self.update(
            noise_model=NoiseModel.from_backend(backend),
            coupling_map=backend.coupling_map,
            basis_gates=backend.operation_names,
        )
