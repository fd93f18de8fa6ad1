"""Reads observables into Qiskit's containers, however small their coefficients are.

Qiskit drops terms below 1e-8 when it reads an observable, and rejects one that then has no terms.
Energies in other units, and derivatives, may well be that small.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from qiskit.primitives.containers.object_array import object_array
from qiskit.primitives.containers.observables_array import ObservablesArray
from qiskit.quantum_info import PauliList, SparseObservable, SparsePauliOp

_SMALL = 1e-6
"""Observables with smaller coefficients are scaled before they are read."""


def read(observables: Any) -> ObservablesArray:
    """Read observables in any form that Qiskit reads.

    Raises:
        TypeError: for an object that is not an observable (Qiskit's message).
        ValueError: for an observable that is not Hermitian, or empty (Qiskit's message).
    """
    if isinstance(observables, ObservablesArray):
        return observables
    found = object_array(observables, copy=True, list_types=(PauliList,))
    scales = {place: _scale(found[place]) for place in np.ndindex(found.shape)}
    if not any(scales.values()):
        return ObservablesArray.coerce(observables)
    for place, scale in scales.items():
        given = _multiplied(found[place], 1 / scale) if scale else found[place]
        read_one = ObservablesArray.coerce_observable(given)
        found[place] = read_one * scale if scale else read_one
    array = ObservablesArray(found, validate=False)
    array.validate()
    return array


def _scale(observable: Any) -> float:
    """Return a power of two near the largest coefficient if that is small, else 0."""
    if isinstance(observable, Mapping):
        coefficients = list(observable.values())
    elif isinstance(observable, (SparsePauliOp, SparseObservable)):
        coefficients = observable.coeffs
    else:
        return 0.0
    try:
        largest = float(np.max(np.abs(coefficients), initial=0.0))
    except (TypeError, ValueError):
        return 0.0
    if not 0 < largest < _SMALL:
        return 0.0
    # Scaling by a power of two is exact, and the inverse of this one is finite.
    return float(2.0 ** max(math.frexp(largest)[1], -1000))


def _multiplied(observable: Any, factor: float) -> Any:
    if isinstance(observable, Mapping):
        return {basis: value * factor for basis, value in observable.items()}
    return observable * factor
