"""Parses the pubs that users pass, and refuses those that cannot run before anything is sent."""

from __future__ import annotations

import keyword
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from qiskit import QuantumCircuit
from qiskit.circuit import ControlFlowOp, Parameter
from qiskit.exceptions import QiskitError
from qiskit.primitives.containers.estimator_pub import EstimatorPub
from qiskit.primitives.containers.observables_array import ObservablesArray
from qiskit.primitives.containers.sampler_pub import SamplerPub
from qiskit.quantum_info import SparseObservable, SparsePauliOp

from qsession_widget.errors import InvalidInputError
from qsession_widget.support import validation
from qsession_widget.support.value_text import shown
from qsession_widget.wire.fields import RESULT_NAMES
from qsession_widget.wire.observables import read as read_observables

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_Pub = TypeVar("_Pub", SamplerPub, EstimatorPub)

_PAULIS = (SparseObservable.BitTerm.X, SparseObservable.BitTerm.Y, SparseObservable.BitTerm.Z)
_MOST_PROJECTORS = 12

_count = validation.whole(1)
_positive = validation.number(0, above=True)


def sampler_pubs(pubs: object, shots: object = None) -> list[SamplerPub]:
    """Parse the pubs of a Sampler.

    Args:
        pubs: pubs, or a single pub or circuit.
        shots: for every pub that names none; None leaves them to the service.

    Raises:
        InvalidInputError: for a pub that cannot run; the message says which.
    """
    given = None if shots is None else _count("shots", shots)
    return list(_each(pubs, lambda pub: _sampler_pub(pub, given)))


def estimator_pubs(pubs: object, precision: object = None) -> list[EstimatorPub]:
    """Parse the pubs of an Estimator.

    Args:
        pubs: pubs, or a single pub.
        precision: for every pub that names none; None leaves it to the service.

    Raises:
        InvalidInputError: for a pub that cannot run; the message says which.
    """
    given = None if precision is None else _positive("precision", precision)
    return list(_each(pubs, lambda pub: _estimator_pub(pub, given)))


def in_paulis(observables: ObservablesArray) -> ObservablesArray:
    """Return observables without projectors, each written as its sum of Paulis.

    IBM's service takes no projectors.

    Raises:
        InvalidInputError: for a term with so many projectors that its sum would be too long.
    """
    found = observables.sparse_observables_array(copy=True)
    changed = False
    for place in np.ndindex(found.shape):
        most = max(
            (sum(bit not in _PAULIS for bit in term.bit_terms) for term in found[place]), default=0
        )
        if most > _MOST_PROJECTORS:
            raise InvalidInputError(
                f"an observable has projectors on {most} qubits, and this service takes Paulis "
                f"alone, of which that is a sum of 2**{most}; allowed are {_MOST_PROJECTORS}"
            )
        if most:
            found[place], changed = found[place].as_paulis(), True
    return ObservablesArray(found) if changed else observables


def _each(pubs: object, read: Callable[[Any], _Pub]) -> Iterator[_Pub]:
    for number, pub in enumerate(_listed(pubs)):
        try:
            yield read(pub)
        except InvalidInputError as error:
            raise InvalidInputError(f"pub {number}: {error}") from error
        # Qiskit's containers raise any of these for values that they do not expect.
        except (QiskitError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
            reason = getattr(error, "message", None) or error
            raise InvalidInputError(f"pub {number}: {reason}") from error


def _sampler_pub(pub: Any, shots: int | None) -> SamplerPub:
    if not isinstance(pub, SamplerPub):
        parts = _parts(pub, "(circuit, parameter values, shots)", 1, 3)
        if parts[2] is not None:
            parts[2] = _count("shots", parts[2])
        _check_names(parts[0], parts[1])
        pub = parts
    found = SamplerPub.coerce(tuple(pub) if isinstance(pub, list) else pub, shots)
    _check_circuit(found.circuit)
    _check_values(found)
    if not _measures(found.circuit):
        raise InvalidInputError(
            f"circuit {found.circuit.name!r} measures nothing, so a Sampler has nothing to return; "
            "add circuit.measure_all() or measure(...)"
        )
    if not found.circuit.cregs:
        raise InvalidInputError(
            f"circuit {found.circuit.name!r} measures into bits of no register, and results are "
            "given by register; add one: QuantumCircuit(qubits, bits), or circuit.measure_all()"
        )
    for register in found.circuit.cregs:
        _check_register(register.name, register.size)
    return found


def _estimator_pub(pub: Any, precision: float | None) -> EstimatorPub:
    if not isinstance(pub, EstimatorPub):
        parts = _parts(pub, "(circuit, observables, parameter values, precision)", 2, 4)
        if parts[3] is not None:
            parts[3] = _positive("precision", parts[3])
        _check_names(parts[0], parts[2])
        pub = tuple(parts)
    elif pub.precision is not None:
        _positive("precision", pub.precision)
    try:
        if isinstance(pub, tuple):
            pub = (pub[0], read_observables(pub[1]), *pub[2:])
        found = EstimatorPub.coerce(pub, precision)
    except ValueError:
        # Qiskit reports values that are not finite as not real.
        if isinstance(pub, tuple) and not all(map(_finite, _coefficients(pub[1]))):
            raise InvalidInputError(
                f"observables={shown(pub[1])} have a coefficient that is nan or infinite; allowed "
                "are finite numbers"
            ) from None
        raise
    _check_circuit(found.circuit)
    _check_values(found)
    if found.observables.size == 0:
        raise InvalidInputError("it has no observables: there is nothing to estimate")
    for each in found.observables.sparse_observables_array().ravel():
        if not np.all(np.isfinite(each.coeffs)):
            raise InvalidInputError(
                f"an observable has the coefficients {np.asarray(each.coeffs).tolist()!s:.80}; "
                "allowed are finite numbers"
            )
    return found


def _parts(pub: Any, form: str, fewest: int, most: int) -> list[Any]:
    """Return the parts of a pub; those that it leaves out at its end are None."""
    if isinstance(pub, QuantumCircuit):
        pub = (pub,)
    if not isinstance(pub, (tuple, list)) or not fewest <= len(pub) <= most:
        raise InvalidInputError(f"{shown(pub)} is not a pub; a pub is {form}")
    if not isinstance(pub[0], QuantumCircuit):
        raise InvalidInputError(
            f"it begins with {shown(pub[0])}, which is not a circuit; a pub is {form}"
        )
    return [*pub, *[None] * (most - len(pub))]


def _listed(pubs: Any) -> Iterable[Any]:
    """Return the pubs as a list, from a list or a single pub."""
    alone = isinstance(pubs, (QuantumCircuit, SamplerPub, EstimatorPub)) or (
        # A tuple is one pub if a circuit is followed by something that is not a circuit.
        isinstance(pubs, tuple)
        and len(pubs) > 1
        and isinstance(pubs[0], QuantumCircuit)
        and not isinstance(pubs[1], (QuantumCircuit, tuple, SamplerPub, EstimatorPub))
    )
    if alone:
        return [pubs]
    listed = validation.entries(pubs)
    if listed is None:
        raise validation.refusal("pubs", pubs, "a circuit, a pub, and a list of pubs")
    return listed


def _check_names(circuit: QuantumCircuit, values: Any) -> None:
    """Refuse values for parameters that the circuit does not have, and missing values."""
    if not isinstance(values, Mapping):
        return
    known = {each.name for each in circuit.parameters}
    given = set(_names(values))
    for what, names in (("no parameter", given - known), ("no value for", known - given)):
        if names:
            listed = ", ".join(map(repr, sorted(names)))
            has = ", ".join(map(repr, sorted(known))) or "none"
            whose = "the circuit has" if what == "no parameter" else "the values have"
            raise InvalidInputError(f"{whose} {what} {listed}; the circuit's parameters are {has}")


def _names(keys: Any) -> Iterator[str]:
    """Return the names of parameters from keys: parameters, their names, or several of those."""
    for key in keys:
        if isinstance(key, Parameter):
            yield key.name
        elif isinstance(key, str):
            yield key
        elif hasattr(key, "__iter__"):
            yield from _names(key)
        else:
            raise InvalidInputError(f"{shown(key)} is neither a parameter nor the name of one")


def _check_values(pub: SamplerPub | EstimatorPub) -> None:
    values = pub.parameter_values.as_array(pub.circuit.parameters)
    if not np.all(np.isfinite(values)):
        rows = values.reshape(-1, pub.circuit.num_parameters)
        row, column = np.argwhere(~np.isfinite(rows))[0].tolist()
        raise InvalidInputError(
            f"the value {rows[row, column]} of parameter "
            f"{pub.circuit.parameters[column].name!r} is not allowed; allowed are finite numbers"
        )


def _check_circuit(circuit: QuantumCircuit) -> None:
    inputs = [each.name for each in (*circuit.iter_input_vars(), *circuit.iter_captures())]
    if inputs:
        raise InvalidInputError(
            f"circuit {circuit.name!r} has the input variables {', '.join(map(repr, inputs))}, "
            "to which a pub assigns no value; assign one with circuit.add_var"
        )


def _check_register(name: str, size: int) -> None:
    if not name.isidentifier() or keyword.iskeyword(name):
        why = "it has to be a Python name that is no keyword"
    elif name in RESULT_NAMES:
        why = "a result has another attribute of that name"
    elif not size:
        why = "it has no bits"
    else:
        return
    raise InvalidInputError(
        f"the classical register {name!r} cannot be in a result: {why}; give it another name or "
        "leave it out"
    )


def _coefficients(observables: Any) -> Iterator[Any]:
    if isinstance(observables, (SparsePauliOp, SparseObservable)):
        yield from observables.coeffs
    elif isinstance(observables, Mapping):
        yield from observables.values()
    elif isinstance(observables, (list, tuple, np.ndarray)):
        for each in observables:
            yield from _coefficients(each)


def _finite(value: Any) -> bool:
    try:
        return math.isfinite(abs(complex(value)))
    except (TypeError, ValueError, OverflowError):
        return True


def _measures(circuit: QuantumCircuit) -> bool:
    """Whether an instruction of the circuit, its branches and loops included, writes a bit."""
    # Counting operations is quick. Looking at each instruction in every iteration would not be.
    return "measure" in circuit.count_ops() or any(
        any(_measures(block) for block in instruction.operation.blocks)
        if isinstance(instruction.operation, ControlFlowOp)
        else instruction.name != "store" and bool(instruction.clbits)
        for instruction in circuit.data
    )
