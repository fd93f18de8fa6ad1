"""Groups of options of the primitives: the names, values and limits of qiskit-ibm-runtime.

None is "not set": the service decides. IBM's service knows all of them. The local runtime
simulates a device's noise and does nothing about it, and warns where it is asked to.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal

from qsession_widget.errors import InvalidInputError
from qsession_widget.support import validation
from qsession_widget.support.validation import Checked, refusal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from qiskit.providers import BackendV2
    from qiskit.transpiler import CouplingMap
    from qiskit_aer.noise import NoiseModel
    from qiskit_ibm_runtime.utils.noise_learner_result import LayerError, NoiseLearnerResult

    from qsession_widget.support.validation import Check

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
_MAX_SEED = 2**63 - 1
_auto_or_count = validation.either(validation.whole(1), validation.one_of("auto"))
_extrapolator = validation.one_of(*_EXTRAPOLATORS)


@dataclass
class DynamicalDecouplingOptions(Checked):
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

    _CHECKS: ClassVar[Mapping[str, Check]] = {
        "enable": validation.boolean,
        "sequence_type": validation.one_of("XX", "XpXm", "XY4"),
        "extra_slack_distribution": validation.one_of("middle", "edges"),
        "scheduling_method": validation.one_of("alap", "asap"),
        "skip_reset_qubits": validation.boolean,
    }


@dataclass
class TwirlingOptions(Checked):
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
    num_randomizations: int | Literal["auto"] | None = None
    shots_per_randomization: int | Literal["auto"] | None = None
    strategy: Literal["active", "active-accum", "active-circuit", "all"] | None = None

    _CHECKS: ClassVar[Mapping[str, Check]] = {
        "enable_gates": validation.boolean,
        "enable_measure": validation.boolean,
        "num_randomizations": _auto_or_count,
        "shots_per_randomization": _auto_or_count,
        "strategy": validation.one_of("active", "active-accum", "active-circuit", "all"),
    }


@dataclass
class MeasureNoiseLearningOptions(Checked):
    """How the noise of measurements is learned, for an Estimator.

    Attributes:
        num_randomizations: how many random circuits.
        shots_per_randomization: shots for each of them, or "auto".
    """

    num_randomizations: int | None = None
    shots_per_randomization: int | Literal["auto"] | None = None

    _CHECKS: ClassVar[Mapping[str, Check]] = {
        "num_randomizations": validation.whole(1),
        "shots_per_randomization": _auto_or_count,
    }


@dataclass
class ZneOptions(Checked):
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
    noise_factors: Sequence[float] | None = None
    extrapolator: str | Sequence[str] | None = None
    extrapolated_noise_factors: Sequence[float] | None = None

    _CHECKS: ClassVar[Mapping[str, Check]] = {
        "amplifier": validation.one_of(
            "gate_folding", "gate_folding_front", "gate_folding_back", "pea"
        ),
        "noise_factors": validation.list_of(validation.number(1)),
        "extrapolator": validation.either(validation.list_of(_extrapolator), _extrapolator),
        "extrapolated_noise_factors": validation.list_of(validation.number(0)),
    }

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
class PecOptions(Checked):
    """Probabilistic error cancellation, for an Estimator.

    Attributes:
        max_overhead: the most that the number of circuits may grow by.
        noise_gain: how much noise is left, 0 for none, or "auto".
    """

    max_overhead: float | None = None
    noise_gain: float | Literal["auto"] | None = None

    _CHECKS: ClassVar[Mapping[str, Check]] = {
        "max_overhead": validation.number(0, above=True),
        "noise_gain": validation.either(validation.number(0), validation.one_of("auto")),
    }


@dataclass
class LayerNoiseLearningOptions(Checked):
    """How the noise of layers of gates is learned, for an Estimator.

    Attributes:
        max_layers_to_learn: at most so many different layers.
        shots_per_randomization: shots for each random circuit.
        num_randomizations: how many random circuits.
        layer_pair_depths: depths of the circuits, in pairs of layers.
    """

    max_layers_to_learn: int | None = None
    shots_per_randomization: int | None = None
    num_randomizations: int | None = None
    layer_pair_depths: Sequence[int] | None = None

    _CHECKS: ClassVar[Mapping[str, Check]] = {
        "max_layers_to_learn": validation.whole(0),
        "shots_per_randomization": validation.whole(1),
        "num_randomizations": validation.whole(1),
        "layer_pair_depths": validation.list_of(validation.whole(0)),
    }


@dataclass
class ResilienceOptions(Checked):
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
    layer_noise_model: NoiseLearnerResult | Sequence[LayerError] | None = None

    _CHECKS: ClassVar[Mapping[str, Check]] = {
        "measure_mitigation": validation.boolean,
        "measure_noise_learning": validation.group(MeasureNoiseLearningOptions),
        "zne_mitigation": validation.boolean,
        "zne": validation.group(ZneOptions),
        "pec_mitigation": validation.boolean,
        "pec": validation.group(PecOptions),
        "layer_noise_learning": validation.group(LayerNoiseLearningOptions),
        "layer_noise_model": validation.anything,
    }

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
class ExecutionOptions(Checked):
    """How circuits are executed.

    Attributes:
        init_qubits: whether qubits are reset before each shot.
        rep_delay: seconds between shots.
        meas_type: what a Sampler gives: "classified" bits, "kerneled" or "avg_kerneled" points.
    """

    init_qubits: bool | None = None
    rep_delay: float | None = None
    meas_type: Literal["classified", "kerneled", "avg_kerneled"] | None = None

    _CHECKS: ClassVar[Mapping[str, Check]] = {
        "init_qubits": validation.boolean,
        "rep_delay": validation.number(0),
        "meas_type": validation.one_of("classified", "kerneled", "avg_kerneled"),
    }


@dataclass
class EnvironmentOptions(Checked):
    """What goes with every job.

    Attributes:
        log_level: DEBUG, INFO, WARNING, ERROR or CRITICAL, in any case.
        job_tags: texts by which the jobs can be found again.
        private: whether the service forgets the inputs, and gives the result once.
    """

    log_level: str | None = None
    job_tags: Sequence[str] | None = None
    private: bool | None = None

    _CHECKS: ClassVar[Mapping[str, Check]] = {
        "log_level": validation.log_level,
        "job_tags": validation.tags,
        "private": validation.boolean,
    }


@dataclass
class SimulatorOptions(Checked):
    """For simulators. Real devices ignore it.

    Attributes:
        noise_model: a NoiseModel of Aer, or a dict of one.
        seed_simulator: seed, for the same result every time.
        coupling_map: pairs of coupled qubits, or a CouplingMap.
        basis_gates: names of gates.
    """

    noise_model: NoiseModel | Mapping[str, object] | None = None
    seed_simulator: int | None = None
    coupling_map: Sequence[Sequence[int]] | CouplingMap | None = None
    basis_gates: Sequence[str] | None = None

    _CHECKS: ClassVar[Mapping[str, Check]] = {
        "noise_model": validation.noise_model,
        "seed_simulator": validation.whole(0, _MAX_SEED),
        "coupling_map": validation.coupling_map,
        "basis_gates": validation.tags,
    }

    def set_backend(self, backend: BackendV2) -> None:
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
