"""Finds how many shots a payload asks for, without decoding its circuits.

A job that asks for more than its backend allows is rejected before it waits in a queue. What is
harder to find out, such as the number of shots with twirling, is left to the worker, which checks
everything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec
from msgspec import Raw

from qsession_widget.wire.fields import EXECUTOR

if TYPE_CHECKING:
    from collections.abc import Iterable

    from qsession_widget.runtime.device_catalog import Device

_LONGEST_NUMBER = 32
_OWN = {"sampler": (2, "default_shots"), "estimator": (3, "default_precision")}
"""By program: the index of the number in a pub, and the option that is its default."""

_ROUNDING = 1 + 1e-9
"""1 / sqrt(shots) as a precision may amount to slightly more shots, by rounding."""

Scalar = str | float | bool | None
OneLevel = list[Raw] | dict[str, Raw] | Scalar
"""Any JSON, of which only the outermost level is decoded."""


class PostProcessor(msgspec.Struct):
    """What the official client's primitives leave for themselves: a value for each pub."""

    circuits_metadata: OneLevel = None


class PassedThrough(msgspec.Struct):
    """What an executor's payload passes through to its result."""

    post_processor: PostProcessor | list[Raw] | Scalar = None


class Program(msgspec.Struct):
    """The program in an executor's payload."""

    items: OneLevel = None
    shots: Raw = Raw()
    meas_level: OneLevel = None
    semantic_role: OneLevel = None
    passthrough_data: PassedThrough | list[Raw] | Scalar = None


class Lists(msgspec.Struct):
    """The fields of a payload that hold circuits or say how often to run them."""

    pubs: list[OneLevel] | dict[str, Raw] | Scalar = None
    circuits: OneLevel = None
    quantum_program: Program | list[Raw] | Scalar = None
    options: OneLevel = None


class RequestedShots(NamedTuple):
    """The shots, or the precision, that a part of a payload asks for.

    Attributes:
        where: the part of the payload; "" if there is only one.
    """

    where: str
    shots: int | None = None
    precision: float | None = None


def requested(program_id: object, lists: Lists) -> list[RequestedShots]:
    """Return the shots and precisions that a payload asks for."""
    if program_id == EXECUTOR:
        program = lists.quantum_program
        shots = _number(program.shots) if isinstance(program, Program) else None
        return [] if shots is None else [RequestedShots("", shots=int(shots))]
    place, default = _OWN.get(str(program_id), (0, ""))
    if not place or not isinstance(lists.pubs, list):
        return []
    options = lists.options if isinstance(lists.options, dict) else {}
    # With twirling, its own options may set the shots, and defaults are not used.
    shared = None if "twirling" in options else _number(options.get(default))
    found = []
    for number, pub in enumerate(lists.pubs):
        own = _number(pub[place]) if isinstance(pub, list) and len(pub) > place else None
        value = shared if own is None else own
        if value is None:
            continue
        where = f"pub {number}: " if own is not None else f"{default}: "
        found.append(
            RequestedShots(where, shots=int(value))
            if program_id == "sampler"
            else RequestedShots(where, precision=value)
        )
    return found


def refusal(found: Iterable[RequestedShots], device: Device, most_here: int) -> str | None:
    """Return why a job is refused for its shots; None if it is not.

    Args:
        found: what the job asks for.
        device: the backend.
        most_here: the most shots that this runtime allows; 0 for the backend's limit.
    """
    limits = ((device.name, device.configuration.get("max_shots")), ("this runtime", most_here))
    for each in found:
        for taker, most in limits:
            if each.shots is not None and most and each.shots > most:
                return f"{each.where}{each.shots} shots asked for; {taker} takes {most}."
            if each.precision is not None and most and each.precision > 0:
                # Divided twice: the square of a very small number would be 0.
                shots = 1 / each.precision / each.precision
                if shots > most * _ROUNDING:
                    return (
                        f"{each.where}Precision {each.precision:g} asked for, which takes "
                        f"{shots:.0f} shots; {taker} takes {most}."
                    )
    return None


def _number(raw: object) -> float | None:
    """Decode a number; None for anything else."""
    if not isinstance(raw, Raw) or not 0 < len(memoryview(raw)) <= _LONGEST_NUMBER:
        return None
    try:
        value = msgspec.json.decode(raw)
    except msgspec.DecodeError:
        # Too large to be represented: the worker reports what is wrong with it.
        return None
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return value if number else None
