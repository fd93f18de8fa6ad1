"""Reads jobs of the program `executor` for their preview: what was asked for, and what came back.

The official client's Sampler, Estimator and noise learner send such jobs. What their user set is in
the part of the quantum program that they pass through to the result.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from qiskit.primitives import BitArray, PrimitiveResult

from qsession_widget.client.jobs.job_contents import post_processing
from qsession_widget.errors import CodecError
from qsession_widget.wire import codec

if TYPE_CHECKING:
    from qiskit import QuantumCircuit

_BIT_AXES = 2
"""An array of bits ends with an axis of shots and one of bits."""
_DRAWN = ("measurement_flips.", "pauli_signs")
"""Names of arrays that were drawn with the circuits' random parts, and not measured."""


class Rates(NamedTuple):
    """The learned noise of a layer.

    Attributes:
        labels: of the generators, such as "XZ on 0, 1".
        values: the rate of each.
    """

    labels: list[str]
    values: list[float]


def facts(
    program_id: str, program: Mapping[str, Any], options: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Return what was asked for, by name: options that are set, and how often circuits run.

    Args:
        program_id: the program, "executor".
        program: its encoded `quantum_program`.
        options: the job's own options.
    """
    given = program.get("items")
    items = [each for each in given if isinstance(each, dict)] if isinstance(given, list) else []
    shots, runs = program.get("shots"), sum(map(_runs, items))
    found: dict[str, Any] = {"program": program_id, "items": len(items), "runs": runs}
    if isinstance(shots, int) and not isinstance(shots, bool):
        found |= {"shots": shots * runs, "shots of a run": shots}
    values = next((each for each in map(_values, items) if each), None)
    if values is not None:
        found["parameter values"] = " \N{MULTIPLICATION SIGN} ".join(map(str, values))
    chosen = post_processing(program).get("options")
    return found | _set(chosen if isinstance(chosen, Mapping) else options or {})


def first_circuit(program: Mapping[str, Any]) -> QuantumCircuit | None:
    """Return the circuit of a program's first item; None for one that cannot be read here."""
    circuits = program.get("circuits")
    text = circuits.get("b64_data") if isinstance(circuits, Mapping) else None
    if not isinstance(text, str):
        return None
    try:
        return next(iter(codec.decode_circuits(text)), None)
    except CodecError:
        # Its result and options are shown all the same.
        return None


def parts_of(result: Any) -> list[Mapping[str, Any]]:
    """Return what a result holds for each pub, item or layer.

    Args:
        result: of a primitive, a quantum program or a noise learner; anything else has no parts.
    """
    if isinstance(result, PrimitiveResult):
        return [dict(pub.data.items()) for pub in result]
    if not isinstance(result, Iterable):
        return []
    return [_part(each) for each in result]


def _part(item: Any) -> Mapping[str, Any]:
    if isinstance(item, Mapping):
        return {name: bits for name in item if (bits := _bits(name, item[name])) is not None}
    if hasattr(item, "to_pauli_lindblad_map"):
        terms = item.to_pauli_lindblad_map()
        return {
            "rate": Rates([_label(each) for each in terms], [float(each.rate) for each in terms])
        }
    return {}


def _bits(name: str, array: Any) -> BitArray | None:
    measured = isinstance(array, np.ndarray) and array.dtype == bool and array.ndim >= _BIT_AXES
    if not measured or not array.size or name.startswith(_DRAWN):
        return None
    return BitArray.from_bool_array(array, order="little")


def _label(term: Any) -> str:
    letters = term.pauli_labels()
    return f"{letters} on {', '.join(map(str, term.indices))}"


def _runs(item: Mapping[str, Any]) -> int:
    """Return how many circuits an item becomes: one for each set of values."""
    return math.prod(_shape(item) or _shape(item.get("circuit_arguments"))[:-1])


def _values(item: Mapping[str, Any]) -> list[int]:
    """Return the shape of the values that an item gives its parameters; empty for none."""
    given = item.get("samplex_arguments")
    found = _shape(given.get("parameter_values") if isinstance(given, Mapping) else None)
    found = found or _shape(item.get("circuit_arguments"))
    return found if found and found[-1] else []


def _shape(array: Any) -> list[int]:
    shape = array.get("shape") if isinstance(array, Mapping) else None
    sound = isinstance(shape, list) and all(isinstance(each, int) for each in shape)
    return list(shape) if sound and shape else []


def _set(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that are set, in their groups."""
    found = {
        name: _set(value) if isinstance(value, Mapping) else value
        for name, value in options.items()
    }
    return {name: value for name, value in found.items() if value not in (None, {}, [], False)}
