"""Groups of options of the primitives: the names, values and limits of qiskit-ibm-runtime.

None is "not set": the service decides. IBM's service knows all of them. The local runtime
simulates a device's noise and does nothing about it, and warns where it is asked to.
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
"""Each way to extrapolate to no noise, and how many noise factors it needs."""

_NOISE_FACTORS = (1.0, 3.0, 5.0)
_EXTRAPOLATION = ("exponential", "linear")

Extrapolator = Annotated[str, validation.one_of(*_EXTRAPOLATORS)]


@dataclass
class DynamicalDecouplingOptions(CheckedOptions):
    """Pulses on idle qubits against their decoherence.

    Attributes:
        enable: whether to do it.
        sequence_type: the pulses: "XX", "XpXm" or "XY4".
        extra_slack_distribution: where time that is left over goes: "middle" or "edges".
        scheduling_method: whether gates come "alap", as late as possible, or "asap".
        skip_reset_qubits: whether to leave out qubits that are in their ground state still.
    """

    enable: bool | None = None
    sequence_type: Literal["XX", "XpXm", "XY4"] | None = None
    extra_slack_distribution: Literal["middle", "edges"] | None = None
    scheduling_method: Literal["alap", "asap"] | None = None
    skip_reset_qubits: bool | None = None


@dataclass
class TwirlingOptions(CheckedOptions):
    """Random Pauli gates that turn errors into simpler ones.

    Attributes:
        enable_gates: whether to twirl two-qubit gates.
        enable_measure: whether to twirl measurements.
        num_randomizations: how many random circuits, or "auto".
        shots_per_randomization: shots for each of them, or "auto".
        strategy: which qubits: "active", "active-accum", "active-circuit" or "all".
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
    """Extrapolation from more noise to none, for an Estimator.

    Attributes:
        amplifier: how noise is amplified: "gate_folding", "gate_folding_front",
            "gate_folding_back" or "pea".
        noise_factors: by how much, each at least 1.
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
        """Refuse fits that need more noise factors than there are.

        Raises:
            InvalidInputError: a ValueError, which names the fit.
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
        max_overhead: the most that the number of circuits may grow by.
        noise_gain: how much noise is left, 0 for none, or "auto".
    """

    max_overhead: PositiveNumber | None = None
    noise_gain: NumberFromZero | Literal["auto"] | None = None


@dataclass
class LayerNoiseLearningOptions(CheckedOptions):
    """How the noise of layers of gates is learned, for an Estimator.

    Attributes:
        max_layers_to_learn: at most so many different layers.
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
    """What an Estimator does against errors, in detail.

    Attributes:
        measure_mitigation: whether to correct measurements.
        measure_noise_learning: how their noise is learned.
        zne_mitigation: whether to extrapolate to no noise.
        zne: how.
        pec_mitigation: whether to cancel errors; not together with `zne_mitigation`.
        pec: how.
        layer_noise_learning: how the noise of layers is learned.
        layer_noise_model: a noise that was learned before: an object of qiskit-ibm-runtime.
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
        """Refuse what does not go together.

        Raises:
            InvalidInputError: a ValueError, which names the two.
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
        meas_type: what a Sampler gives: "classified" bits, "kerneled" or "avg_kerneled" points.
    """

    init_qubits: bool | None = None
    rep_delay: NumberFromZero | None = None
    meas_type: Literal["classified", "kerneled", "avg_kerneled"] | None = None


@dataclass
class EnvironmentOptions(CheckedOptions):
    """What goes with every job.

    Attributes:
        log_level: DEBUG, INFO, WARNING, ERROR or CRITICAL, in any case.
        job_tags: texts by which the jobs can be found again.
        private: whether the service forgets the inputs, and gives the result once.
    """

    log_level: LogLevel | None = None
    job_tags: Texts | None = None
    private: bool | None = None


@dataclass
class SimulatorOptions(CheckedOptions):
    """For simulators. Real devices ignore it.

    Attributes:
        noise_model: a NoiseModel of Aer, or a dict of one.
        seed_simulator: seed, for the same result every time.
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
        """Take noise, coupling and gates of a device, as recorded in its target.

        Args:
            backend: the device.

        Raises:
            InvalidInputError: for what is no device.
        """
        from qiskit.providers import BackendV2  # noqa: PLC0415 - these options need no Qiskit
        from qiskit_aer.noise import NoiseModel  # noqa: PLC0415 - as above

        if not isinstance(backend, BackendV2):
            raise refusal("backend", backend, "a device, such as service.backend(name)")
        self.update(
            noise_model=NoiseModel.from_backend(backend),
            coupling_map=backend.coupling_map,
            basis_gates=backend.operation_names,
        )
