"""What the local runtime does with each option of a sampler or estimator.

One table for both sides: the client warns of what is left out, and the worker names it in the
result, so that every client can read it there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

DONE = frozenset(
    {
        "default_shots",
        "default_precision",
        "seed_estimator",
        "simulator.seed_simulator",
    }
)
"""Options that do what they say."""

TWIRLED = frozenset({"twirling.num_randomizations", "twirling.shots_per_randomization"})
"""Options that say how many shots there are, where anything is twirled at all."""

IDLE: Mapping[str, object] = {
    "dynamical_decoupling.enable": False,
    "execution.init_qubits": True,
    "execution.meas_type": "classified",
    "resilience.measure_mitigation": False,
    "resilience.pec_mitigation": False,
    "resilience.zne_mitigation": False,
    "resilience_level": 0,
    "twirling.enable_gates": False,
    "twirling.enable_measure": False,
}
"""Options of which one value is what happens anyway. Every other value is left out."""

LEFT_OUT = frozenset(
    {
        "dynamical_decoupling.extra_slack_distribution",
        "dynamical_decoupling.scheduling_method",
        "dynamical_decoupling.sequence_type",
        "dynamical_decoupling.skip_reset_qubits",
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
        "simulator.noise_model",
        "twirling.strategy",
    }
)
"""Options that change nothing: each is named wherever it is set."""

REFUSED: Mapping[str, tuple[object, ...]] = {
    "execution.meas_type": ("kerneled", "avg_kerneled"),
}
"""Values for which there would have to be another kind of result: a job with one is refused."""

_DECIDED = DONE | TWIRLED | LEFT_OUT | IDLE.keys()
_GROUPS = frozenset(
    ".".join(parts[:depth])
    for parts in (name.split(".") for name in _DECIDED)
    for depth in range(1, len(parts))
)


def left_out(options: Mapping[str, Any], resilience_level: object = None) -> list[str]:
    """Name the options that were set and change nothing on the local runtime.

    Args:
        options: `params.options` of the job.
        resilience_level: `params.resilience_level` of an estimator's job.

    Returns:
        Their names with the groups that they are in, such as "twirling.strategy".
    """
    twirling = options.get("twirling")
    twirled = isinstance(twirling, dict) and bool(
        twirling.get("enable_gates") or twirling.get("enable_measure")
    )
    done = DONE | TWIRLED if twirled else DONE
    found = dict(_leaves({**options, "resilience_level": resilience_level}))
    return [
        name
        for name, value in found.items()
        if name not in done and value is not None and (name not in IDLE or value != IDLE[name])
    ]


def refused(options: Mapping[str, Any]) -> tuple[str, object] | None:
    """Give the name and the value of an option for which a job is refused, if there is one."""
    for name, value in _leaves(options):
        if value in REFUSED.get(name, ()):
            return name, value
    return None


def _leaves(options: Mapping[str, Any], inside: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in options.items():
        name = f"{inside}{key}"
        if isinstance(value, dict) and name in _GROUPS:
            yield from _leaves(value, f"{name}.")
        elif isinstance(value, dict) and name == "experimental":
            yield from ((f"{name}.{each}", entry) for each, entry in value.items())
        else:
            yield name, value
