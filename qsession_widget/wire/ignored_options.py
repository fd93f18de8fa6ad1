"""Options that have no effect on the local runtime.

Client and worker share the table: the client warns of such options, and the worker lists them in
the result, where every client can read them.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

HEEDED = frozenset({"default_shots", "simulator.seed_simulator", "simulator.noise_model"})
"""Options that have an effect, for all programs with pubs."""

HEEDED_BY_ESTIMATORS = frozenset({"default_precision", "seed_estimator"})

HEEDED_IF_TWIRLED = frozenset({"twirling.num_randomizations", "twirling.shots_per_randomization"})
"""Options that set the number of shots, if twirling is enabled."""

DEFAULTS: Mapping[str, Any] = {
    "dynamical_decoupling.enable": False,
    "dynamical_decoupling.sequence_type": "XX",
    "dynamical_decoupling.extra_slack_distribution": "middle",
    "dynamical_decoupling.scheduling_method": "alap",
    "dynamical_decoupling.skip_reset_qubits": False,
    "twirling.enable_gates": False,
    "twirling.enable_measure": False,
    "twirling.num_randomizations": "auto",
    "twirling.shots_per_randomization": "auto",
    "twirling.strategy": "active-accum",
    "resilience.measure_mitigation": False,
    "resilience.zne_mitigation": False,
    "resilience.pec_mitigation": False,
    "execution.init_qubits": True,
    "execution.meas_type": "classified",
    "resilience_level": 0,
    "init_qubits": True,
    "scheduler_timing": False,
    "stretch_values": False,
}
"""Values that equal what the runtime does anyway. So does None, for every option."""

UNHEEDED = frozenset(
    {
        *(DEFAULTS.keys() - HEEDED_IF_TWIRLED),
        "execution.rep_delay",
        "experimental",
        "resilience.layer_noise_learning.layer_pair_depths",
        "resilience.layer_noise_learning.max_layers_to_learn",
        "resilience.layer_noise_learning.num_randomizations",
        "resilience.layer_noise_learning.shots_per_randomization",
        "resilience.layer_noise_model",
        "resilience.measure_noise_learning.num_randomizations",
        "resilience.measure_noise_learning.shots_per_randomization",
        "resilience.pec.max_overhead",
        "resilience.pec.noise_gain",
        "resilience.zne.amplifier",
        "resilience.zne.extrapolated_noise_factors",
        "resilience.zne.extrapolator",
        "resilience.zne.noise_factors",
        "simulator.basis_gates",
        "simulator.coupling_map",
    }
)
"""Known options whose other values have no effect. Options in no table have none either."""

OVERRULED = {
    "default_precision": "default_shots",
    "seed_estimator": "simulator.seed_simulator",
}
"""Options that have an effect, unless those are set that take precedence."""

SEED_OF_EXECUTOR = "experimental.seed_simulator"

_MAX_NAMES = 100


def names(program_id: str, params: Mapping[str, Any]) -> list[str]:
    """Return the options of a sampler or estimator job that have no effect, sorted.

    Args:
        program_id: "sampler" or "estimator".
        params: of the job, as on the wire.
    """
    options = params.get("options") or {}
    heeded = set(HEEDED)
    if program_id == "estimator":
        heeded |= HEEDED_BY_ESTIMATORS
        if options.get("default_shots") is not None:
            heeded.discard("default_precision")
        if (options.get("simulator") or {}).get("seed_simulator") is not None:
            heeded.discard("seed_estimator")
    twirling = options.get("twirling") or {}
    if twirling.get("enable_gates") or twirling.get("enable_measure"):
        heeded |= HEEDED_IF_TWIRLED
    found = list(_set(options))
    found += [("resilience_level", params.get("resilience_level"))]
    return _unheeded(found, heeded)


def of_executor(options: Mapping[str, Any]) -> list[str]:
    """Return the options of an executor job that have no effect, sorted.

    Args:
        options: of the job, as on the wire.
    """
    return _unheeded(_set(options), {SEED_OF_EXECUTOR})


def reason(unheeded: Sequence[str]) -> str:
    """Return why options of a sampler or estimator job have no effect.

    Args:
        unheeded: their names.
    """
    found = []
    if any(name not in OVERRULED for name in unheeded):
        found.append("it simulates the device's noise, and nothing against it")
    found += [f"{OVERRULED[name]} takes precedence" for name in unheeded if name in OVERRULED]
    return "; ".join(found)


def _unheeded(found: Iterable[tuple[str, Any]], heeded: set[str]) -> list[str]:
    wanted = (name for name, value in found if name not in heeded and not _is_default(name, value))
    return sorted(islice(wanted, _MAX_NAMES))


def _is_default(name: str, value: Any) -> bool:
    return value is None or (isinstance(value, (bool, int, str)) and value == DEFAULTS.get(name))


def _set(options: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the full name and the value of each option that is set, also of those in groups."""
    for name, value in options.items():
        if isinstance(value, dict) and "__type__" not in value and f"{prefix}{name}" not in HEEDED:
            yield from _set(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
