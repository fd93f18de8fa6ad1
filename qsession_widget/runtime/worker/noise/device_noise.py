"""The noise of a recorded device, reduced to what can affect a circuit's qubits."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from qiskit.providers import BackendV2, Options
from qiskit.transpiler import InstructionProperties, Target
from qiskit_aer import AerSimulator
from qiskit_aer.noise import NoiseModel

from qsession_widget.runtime.worker.noise.aer_form import MEASURE, NoiseInAerForm
from qsession_widget.wire.target import MeasureProperties

if TYPE_CHECKING:
    from qsession_widget.runtime.worker.noise.aer_form import Use

MAX_STATEVECTOR_QUBITS = 20
"""Noisy circuits on more qubits are simulated as matrix product states.

Each shot of a noisy circuit is a run of its own: a few thousand shots as state vectors of more
qubits take hours. Circuits that measure a whole device usually entangle little of it.
"""


class TargetBackend(BackendV2):
    """Adapts a target to the interface from which Aer derives a device's noise."""

    def __init__(self, target: Target) -> None:
        super().__init__(name="device")
        self._target = target

    @property
    def target(self) -> Target:
        """Return the device's instructions and their errors."""
        return self._target

    @property
    def max_circuits(self) -> None:
        """Return None: there is no maximum."""
        return None

    @classmethod
    def _default_options(cls) -> Options:
        return Options()

    def run(self, run_input: Any, **options: Any) -> None:
        """Raise: only Aer, built from this, runs circuits."""
        raise NotImplementedError


class DeviceSimulator(AerSimulator):
    """Aer's simulator, whose noise is written out in Aer's form only once."""

    @cached_property
    def noise(self) -> NoiseInAerForm:
        """The noise of its instructions and measurements, without that of delays."""
        return NoiseInAerForm(self.options.noise_model)

    @cached_property
    def delays(self) -> NoiseModel | None:
        """A model of the noise of delays alone; None if there is none.

        Aer copies the whole model for each circuit with a delay.
        """
        whole = self.options.noise_model
        if whole is None:
            return None
        model = NoiseModel(whole.basis_gates)
        model._custom_noise_passes = list(whole._custom_noise_passes)  # noqa: SLF001 - no other way
        return model


def simulator(
    target: Target, active: frozenset[int], given: NoiseModel | None = None
) -> DeviceSimulator:
    """Build a simulator whose noise model covers the active qubits only.

    Errors elsewhere cannot affect the circuit, but building and passing them on takes seconds on a
    large device. With the same seed the shots are the same as with the whole model. For that, one
    error elsewhere may have to stay: Aer chooses its method by the kinds of errors in the model,
    whether or not they apply to the circuit, and any Kraus map rules out its stabilizer method.

    Args:
        target: of the device.
        active: the qubits that circuits use.
        given: noise that replaces the device's.
    """
    options = {} if given is None else {"noise_model": given}
    backend = TargetBackend(_restricted(target, active))
    made: DeviceSimulator = DeviceSimulator.from_backend(backend, method=_method(active), **options)
    return made


def noise_alone(target: Target, name: str, qubits: range) -> NoiseInAerForm:
    """Return the noise of an instruction on single qubits.

    Args:
        target: of the device.
        name: of the instruction.
        qubits: which of the device's.
    """
    alone = Target(num_qubits=target.num_qubits, dt=target.dt)
    alone.qubit_properties = target.qubit_properties
    if name in target.operation_names:
        placement = target[name] or {}
        known = {
            where: what if name != MEASURE or _is_known(what) else None
            for where, what in placement.items()
            if where is not None and len(where) == 1 and where[0] in qubits
        }
        alone.add_instruction(target.operation_from_name(name), known, name=name)
    return NoiseInAerForm(NoiseModel.from_backend(TargetBackend(alone)))


def with_model(given: NoiseModel, active: frozenset[int]) -> DeviceSimulator:
    """Build a simulator of no device with a given noise model."""
    return DeviceSimulator(noise_model=given, method=_method(active))


def _method(active: frozenset[int]) -> str:
    return "automatic" if len(active) <= MAX_STATEVECTOR_QUBITS else "matrix_product_state"


def _kraus_places(target: Target) -> list[Use]:
    """Return the instructions on one qubit that Aer follows by Kraus maps: those where T2 > T1."""
    properties = target.qubit_properties or []
    relaxed = {
        (qubit,)
        for qubit, each in enumerate(properties)
        if each is not None and each.t1 and each.t2 and each.t2 > each.t1
    }
    return [
        (name, where)
        for name in target.operation_names
        if name != MEASURE and not _reads(target, name)
        for where, what in (target[name] or {}).items()
        if where in relaxed and what is not None and what.duration
    ]


def _reads(target: Target, name: str) -> bool:
    """Whether an instruction writes classical bits, as `measure_2` of some devices."""
    return bool(getattr(target.operation_from_name(name), "num_clbits", 0))


def _is_known(reading: InstructionProperties | None) -> bool:
    """Whether a measurement has figures from which Aer can derive an error."""
    if reading is None:
        return False
    return isinstance(reading, MeasureProperties) or reading.error is not None


def _restricted(target: Target, active: frozenset[int]) -> Target:
    """Return a copy of a target with the instructions on active qubits only.

    If the device has Kraus maps, one stays in any case. Among instructions that read qubits only
    `measure` keeps its errors: Aer would take the time and error of others for those of a gate.
    """
    kraus = _kraus_places(target)
    spared = set() if any(active.issuperset(where) for _, where in kraus) else set(kraus[:1])
    copy = Target(
        num_qubits=target.num_qubits,
        dt=target.dt,
        qubit_properties=target.qubit_properties,
        granularity=target.granularity,
        min_length=target.min_length,
        pulse_alignment=target.pulse_alignment,
        acquire_alignment=target.acquire_alignment,
    )
    for name in target.operation_names:
        placement = target[name]
        if placement is None or None in placement:
            copy.add_instruction(target.operation_from_name(name), name=name)
        else:
            kept = {
                where: what
                for where, what in placement.items()
                if active.issuperset(where) or (name, where) in spared
            }
            if _reads(target, name):
                kept = {
                    where: what if name == MEASURE and _is_known(what) else None
                    for where, what in kept.items()
                }
            copy.add_instruction(target.operation_from_name(name), kept, name=name)
    return copy
