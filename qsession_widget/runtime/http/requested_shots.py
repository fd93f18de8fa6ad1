"""How many shots a payload asks for, as far as that is seen without reading its circuits.

What a device does not take is refused before it waits in a queue. What takes more to find out, such
as the shots that twirling comes to, is left to the worker, which checks everything.
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
"""By program: the place of a pub's own number, and the option that stands in for it."""

_ROUNDING = 1 + 1e-9
"""A precision of one over a root of shots may come to a little more than so many."""

Scalar = str | float | bool | None
OneLevel = list[Raw] | dict[str, Raw] | Scalar
"""Any JSON, looked into no further than one level."""


class Program(msgspec.Struct):
    """Of an executor's payload."""

    items: OneLevel = None
    shots: Raw = Raw()
    meas_level: OneLevel = None


class Lists(msgspec.Struct):
    """Where payloads have their circuits, and what says how often to run them."""

    pubs: list[OneLevel] | dict[str, Raw] | Scalar = None
    circuits: OneLevel = None
    quantum_program: Program | list[Raw] | Scalar = None
    options: OneLevel = None


class Asked(NamedTuple):
    """Shots that a part of a payload asks for, or a precision.

    Attributes:
        where: in the payload, "" where there is but one place.
    """

    where: str
    shots: int | None = None
    precision: float | None = None


def asked(program_id: object, lists: Lists) -> list[Asked]:
    """Give what is asked for, each with its place."""
    if program_id == EXECUTOR:
        program = lists.quantum_program
        shots = _number(program.shots) if isinstance(program, Program) else None
        return [] if shots is None else [Asked("", shots=int(shots))]
    place, default = _OWN.get(str(program_id), (0, ""))
    if not place or not isinstance(lists.pubs, list):
        return []
    options = lists.options if isinstance(lists.options, dict) else {}
    # Twirling may say the shots itself, and then no default counts.
    shared = None if "twirling" in options else _number(options.get(default))
    found = []
    for number, pub in enumerate(lists.pubs):
        own = _number(pub[place]) if isinstance(pub, list) and len(pub) > place else None
        value = shared if own is None else own
        if value is None:
            continue
        where = f"pub {number}: " if own is not None else f"{default}: "
        found.append(
            Asked(where, shots=int(value))
            if program_id == "sampler"
            else Asked(where, precision=value)
        )
    return found


def refusal(found: Iterable[Asked], device: Device, most_here: int) -> str | None:
    """Say why what is asked for cannot be had; None where it can.

    Args:
        found: what is asked for.
        device: that is to run it.
        most_here: most shots that this runtime takes; 0 is its device's.
    """
    limits = ((device.name, device.configuration.get("max_shots")), ("this runtime", most_here))
    for each in found:
        for taker, most in limits:
            if each.shots is not None and most and each.shots > most:
                return f"{each.where}{each.shots} shots asked for; {taker} takes {most}."
            if each.precision is not None and most and each.precision > 0:
                # Divided twice: the square of a very small number is none.
                shots = 1 / each.precision / each.precision
                if shots > most * _ROUNDING:
                    return (
                        f"{each.where}Precision {each.precision:g} asked for, which takes "
                        f"{shots:.0f} shots; {taker} takes {most}."
                    )
    return None


def _number(raw: object) -> float | None:
    """Read a number, None for anything else."""
    if not isinstance(raw, Raw) or not 0 < len(memoryview(raw)) <= _LONGEST_NUMBER:
        return None
    try:
        value = msgspec.json.decode(raw)
    except msgspec.DecodeError:
        # Larger than any that can be held: the worker says what is wrong with it.
        return None
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return value if number else None
