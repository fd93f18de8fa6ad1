"""Pubs of a Sampler or an Estimator as a quantum program, for services without those programs.

IBM's client-side primitives define what such a program is, and how its result is read: they prepare
it here, and `client/jobs/result_decoder` reads it with them. Error mitigation is a part of that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qiskit.primitives.containers.estimator_pub import EstimatorPub
from qiskit.primitives.containers.sampler_pub import SamplerPub
from qiskit.transpiler import generate_preset_pass_manager

from qsession_widget.errors import InvalidInputError
from qsession_widget.support.official import needed
from qsession_widget.support.value_text import shown

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from qiskit_ibm_runtime.options_models import ExecutorOptions
    from qiskit_ibm_runtime.quantum_program import QuantumProgram

    from qsession_widget.client.backends.backend import Backend

ROLES = {"sampler": "sampler_v2", "estimator": "estimator_v2"}
"""What a program stands for, as IBM's client names it, by the program that it replaces."""

_NOT_MITIGATED = 0

_GATES = ["rz", "sx", "x", "cx", "reset", "delay", "measure"]
"""Those of many devices."""


def prepared(
    program_id: str,
    pubs: Sequence[SamplerPub | EstimatorPub],
    values: Mapping[str, Any],
    backend: Backend,
    *,
    local: bool,
) -> tuple[QuantumProgram, ExecutorOptions]:
    """Return pubs as a quantum program, and the options of its job.

    Args:
        program_id: "sampler" or "estimator".
        pubs: of that primitive, in the backend's instruction set.
        values: options that were set, as on the wire, with `resilience_level` among them.
        backend: gives the durations that dynamical decoupling needs.
        local: whether it goes to a local runtime. Without a level nothing is mitigated there, as by
            its own estimator; at IBM it is IBM's default.

    Raises:
        InvalidInputError: for options, or differences between pubs, that a program cannot have.
        UnsupportedError: without qiskit-ibm-runtime.
    """
    _check_alike(pubs)
    with needed(f"{program_id.capitalize()}, on a service that runs no {program_id!r} jobs,"):
        from qiskit_ibm_runtime import executor_estimator, executor_sampler, options_models
        from qiskit_ibm_runtime.exceptions import IBMInputValueError
        from samplomatic.exceptions import BuildError, SamplexError

    chosen = {**values}
    kind: Any = options_models.SamplerOptions
    module: Any = executor_sampler
    if program_id == "estimator":
        kind, module = options_models.EstimatorOptions, executor_estimator
        if local:
            chosen.setdefault("resilience_level", _NOT_MITIGATED)
        seed = chosen.pop("seed_estimator", None)
        if seed is not None:
            # A program has one seed, for everything.
            chosen["simulator"] = {"seed_simulator": seed, **chosen.get("simulator", {})}
    try:
        given = [_in_few_gates(pub) for pub in pubs] if backend.simulator else pubs
        program, options = module.prepare.prepare(given, kind(**chosen), backend=backend)
    except (IBMInputValueError, BuildError, SamplexError, ValueError) as error:
        form = f"this service takes a {program_id}'s jobs as executor jobs only"
        if refused := _refused_options(error, chosen):
            raise InvalidInputError(
                f"{form}, and those do not take {' or '.join(refused)}: leave it out"
            ) from error
        reason = getattr(error, "message", None) or error
        raise InvalidInputError(f"{form}, which is not possible here: {reason}") from error
    program._semantic_role = ROLES[program_id]  # noqa: SLF001 - as IBM's primitives set it
    return program, options


def _in_few_gates(pub: Any) -> Any:
    """Return a pub whose circuit has the gates of a device, which templates can be made of.

    A simulator takes every gate of Qiskit, so that circuits for it may have any.
    """
    if pub.circuit.has_control_flow_op():
        return pub
    circuit = generate_preset_pass_manager(0, basis_gates=_GATES).run(pub.circuit)
    if isinstance(pub, SamplerPub):
        return SamplerPub(circuit, pub.parameter_values, pub.shots)
    return EstimatorPub(circuit, pub.observables, pub.parameter_values, pub.precision)


def _check_alike(pubs: Sequence[SamplerPub | EstimatorPub]) -> None:
    """Refuse pubs that ask for different numbers of shots, or for different precisions."""
    for name in ("shots", "precision"):
        asked = {getattr(pub, name, None) for pub in pubs}
        if len(asked) > 1:
            found = ", ".join(sorted("none" if each is None else f"{each:g}" for each in asked))
            raise InvalidInputError(
                f"the pubs ask for different {name}: {found}. This service takes executor jobs "
                f"only, which have one value for all pubs: send several jobs"
            )


def _refused_options(error: Exception, options: Mapping[str, Any]) -> list[str]:
    """Return the options that IBM's package has refused, `name=value`; none for other errors.

    It checks them by pydantic, whose errors list their places: names of options, followed by names
    of pydantic's own, such as those of the types that a value may have.
    """
    listed = getattr(error, "errors", None)
    refused: dict[str, object] = {}
    for each in listed() if callable(listed) else ():
        value: object = options
        names: list[str] = []
        for name in each["loc"]:
            if not isinstance(value, dict) or name not in value:
                break
            value = value[name]
            names.append(name)
        if names:
            refused[".".join(names)] = value
    return [f"{name}={shown(value)}" for name, value in refused.items()]
