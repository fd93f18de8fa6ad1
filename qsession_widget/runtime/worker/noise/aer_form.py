"""Noise in the form that Aer's C++ code reads, kept error by error.

Aer's `run` writes out the whole noise model each time. Here each error is written once, when a
circuit first needs it, and a run is given only the errors that apply to its circuits.
"""

from __future__ import annotations

import json
from enum import Enum
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from qiskit.circuit.library.standard_gates import get_standard_gate_name_mapping
from qiskit.quantum_info import Kraus, Operator, Pauli, SuperOp
from qiskit_aer.noise import QuantumError, ReadoutError
from qiskit_aer.noise.noise_model import AerJSONEncoder

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray
    from qiskit_aer.noise import NoiseModel

    Matrix = NDArray[np.complex128]

Use = tuple[str, tuple[int, ...]]
"""An instruction, by the name or label that noise models use, and its qubits."""

Place = tuple[str | None, tuple[int, ...] | None]
"""The instruction that an error follows, None for reading; and its qubits, None for any."""

Form = dict[str, Any]
"""What Aer's C++ code takes as an error, or as a whole noise model."""

MEASURE = "measure"


class Shape(Enum):
    """What each error is given as; the map is the same."""

    PLAIN = "as it is: with the same seed, the shots of Aer's own run"
    SUPEROP = "one superoperator, which only density matrices take"
    KRAUS = "one set of Kraus operators, which every other method but the stabilizer one takes"


_ANYWHERE = frozenset({"id", "x", "y", "z", "h", "s", "sdg", "sx", "cx", "cz", "pauli", "reset"})
"""Instructions of errors that every method of Aer can simulate."""


class NoiseInAerForm:
    """A noise model's errors, each written out when it is first asked for.

    Args:
        model: the noise model, which must not change; None for no noise.
    """

    def __init__(self, model: NoiseModel | None) -> None:
        self._gates: dict[str, dict[tuple[int, ...] | None, _Error]] = {}
        self._readout: dict[tuple[int, ...] | None, _Error] = {}
        self._witnesses: list[_Error] | None = None
        if model is not None:
            self._read(model)

    def _read(self, model: NoiseModel) -> None:
        for name, error in model._default_quantum_errors.items():  # noqa: SLF001 - no public reader
            self._gates.setdefault(name, {})[None] = _Error(error, name, None)
        for name, places in model._local_quantum_errors.items():  # noqa: SLF001 - no public reader
            for qubits, error in places.items():
                self._gates.setdefault(name, {})[qubits] = _Error(error, name, qubits)
        if model._default_readout_error is not None:  # noqa: SLF001 - no public reader
            self._readout[None] = _Error(model._default_readout_error, None, None)  # noqa: SLF001 - no public reader
        for qubits, error in model._local_readout_errors.items():  # noqa: SLF001 - no public reader
            self._readout[qubits] = _Error(error, None, qubits)

    @property
    def has_quantum_errors(self) -> bool:
        """Whether there are errors other than those of reading."""
        return bool(self._gates)

    @property
    def needs_kraus(self) -> bool:
        """Whether Aer writes every error as Kraus operators by itself, since one of them is."""
        return any("kraus" in each.kinds for each in self._all_witnesses())

    @property
    def reads_one_by_one(self) -> bool:
        """Whether `after` and `reading` know all that happens to a qubit as it is read."""
        anywhere = any(None in places for places in self._gates.values())
        alone = all(where is not None and len(where) == 1 for where in self._readout)
        return alone and not anywhere and MEASURE not in self._gates

    def after(self, name: str, qubit: int) -> Matrix:
        """Return the superoperator, by columns, of the error that follows an instruction."""
        error = self._gates.get(name, {}).get((qubit,))
        return np.eye(4, dtype=complex) if error is None else error.superoperator

    def reading(self, qubit: int) -> Matrix:
        """Return the chances of reading 0 and 1 (rows) where there is 0 or 1 (columns)."""
        error = self._readout.get((qubit,))
        return np.eye(2, dtype=complex) if error is None else error.chances

    def of(self, uses: Iterable[Use], shape: Shape) -> dict[Place, Form]:
        """Return the errors that apply to instructions, by place; Aer combines those at one place.

        With the same seed plain errors give the same shots as the whole model does. For that, a few
        may be added that apply to no instruction: Aer chooses its method by the kinds of errors in
        the model, whether or not they apply to the circuit.

        Where Aer draws all shots from one density matrix, a seed gives the same ones whatever the
        shape is.

        Args:
            uses: the instructions.
            shape: of each error.
        """
        met = list(self._met(uses))
        met += self._missing(met)
        return {each.place: each.form(shape) for each in met}

    def write(self) -> None:
        """Write out all errors as density matrices take them, before a circuit asks for them."""
        for each in (*self._quantum_errors(), *self._readout.values()):
            each.form(Shape.SUPEROP)

    def _met(self, uses: Iterable[Use]) -> Iterator[_Error]:
        names: set[str] = set()
        measured: set[int] = set()
        for name, qubits in uses:
            places = self._gates.get(name)
            if places is not None:
                names.add(name)
                if qubits in places:
                    yield places[qubits]
            if name == MEASURE:
                measured.update(qubits)
        for name in sorted(names):
            if None in self._gates[name]:
                yield self._gates[name][None]
        for where, error in self._readout.items():
            if measured if where is None else measured.intersection(where):
                yield error

    def _missing(self, met: Sequence[_Error]) -> list[_Error]:
        """Return errors without which Aer would choose another method than with the whole model."""
        kinds = set().union(*(each.kinds for each in met))
        found = [each for each in self._all_witnesses() if not each.kinds <= kinds]
        if not found and self._gates and not any(each.operation for each in met):
            found = [min(self._quantum_errors(), key=lambda each: each.size)]
        return found

    def _all_witnesses(self) -> list[_Error]:
        """Return an error, a small one, of each kind of instruction that some method lacks."""
        if self._witnesses is None:
            smallest: dict[str, _Error] = {}
            for each in sorted(self._quantum_errors(), key=lambda each: each.size):
                for kind in each.kinds:
                    smallest.setdefault(kind, each)
            self._witnesses = list({id(each): each for each in smallest.values()}.values())
        return self._witnesses

    def _quantum_errors(self) -> list[_Error]:
        return [each for places in self._gates.values() for each in places.values()]


class _Error:
    """An error, where it happens, and how Aer reads it."""

    def __init__(
        self,
        error: QuantumError | ReadoutError,
        operation: str | None,
        qubits: tuple[int, ...] | None,
    ) -> None:
        self._error = error
        self.operation = operation
        self._qubits = qubits
        self.place: Place = (operation, qubits)
        self._forms: dict[Shape, Form] = {}
        self._kinds: frozenset[str] | None = None

    @property
    def size(self) -> int:
        """How many circuits it is made of; few for errors of other classes."""
        return len(getattr(self._error, "circuits", ()))

    @property
    def kinds(self) -> frozenset[str]:
        """The names of its instructions that some method of Aer cannot simulate."""
        if self._kinds is None:
            self._kinds = frozenset(
                name
                for circuit in getattr(self._error, "circuits", ())
                for name in circuit.count_ops()
                if name not in _ANYWHERE
            )
        return self._kinds

    @cached_property
    def superoperator(self) -> Matrix:
        """The superoperator of a gate's error."""
        return superoperator(self._error)

    @cached_property
    def chances(self) -> Matrix:
        """The chances of what is read (rows) for each state (columns)."""
        return np.asarray(self._error.probabilities, dtype=complex).T

    def form(self, shape: Shape) -> Form:
        """Return it as Aer's C++ code takes it; the result is shared and must not be changed."""
        found = self._forms.get(shape)
        if found is None:
            plain = shape is Shape.PLAIN or self.operation is None
            found = _plain(self._error) if plain else _collapsed(self._error, shape)
            if self.operation is not None:
                found["operations"] = [self.operation]
            if self._qubits is not None:
                found["gate_qubits"] = [list(self._qubits)]
            self._forms[shape] = found
        return found


def _plain(error: QuantumError | ReadoutError) -> Form:
    form: Form = json.loads(json.dumps(error.to_dict(), cls=AerJSONEncoder))
    return form


def _collapsed(error: QuantumError, shape: Shape) -> Form:
    matrix = superoperator(error)
    params = [matrix] if shape is Shape.SUPEROP else _kraus(matrix)
    qubits = list(range(error.num_qubits))
    instruction = {"name": shape.name.lower(), "qubits": qubits, "params": params}
    return {"type": "qerror", "probabilities": [1.0], "instructions": [[instruction]]}


def _kraus(superoperator: Matrix) -> list[Matrix]:
    found = Kraus(SuperOp(superoperator)).data
    # Qiskit has another form for maps that are not completely positive, as rounding can make them.
    left = found[0] if isinstance(found, tuple) else found
    return [np.asarray(each) for each in left]


def superoperator(error: QuantumError) -> Matrix:
    """Return the superoperator of an error, by columns: what it makes of vec(density matrix).

    Qiskit's own conversion gives the same, in twenty times the time.
    """
    known = {"kraus", "unitary", "reset", *get_standard_gate_name_mapping(), "pauli"}
    if not isinstance(error, QuantumError) or any(
        name not in known for circuit in error.circuits for name in circuit.count_ops()
    ):
        return np.asarray(SuperOp(error).data)
    document = error.to_dict()
    width = error.num_qubits
    total = np.zeros((4**width, 4**width), dtype=complex)
    for circuit, probability in zip(
        document["instructions"], document["probabilities"], strict=True
    ):
        product = None
        for each in circuit:
            matrix = _instruction(each["name"], each.get("params", []), each["qubits"], width)
            product = matrix if product is None else matrix @ product
        total += probability * (np.eye(4**width) if product is None else product)
    return total


def _instruction(name: str, params: Sequence[Any], qubits: Sequence[int], width: int) -> Matrix:
    if name in {"kraus", "unitary"}:
        return _embedded([np.asarray(each) for each in params], tuple(qubits), width)
    return _named(name, tuple(params), tuple(qubits), width)


@lru_cache(maxsize=1000)
def _named(name: str, params: tuple[Any, ...], qubits: tuple[int, ...], width: int) -> Matrix:
    if name == "reset":
        lowering = [np.array([[1, 0], [0, 0]]), np.array([[0, 1], [0, 0]])]
        return _embedded(lowering, qubits, width)
    if name == "pauli":
        return _embedded([Pauli(params[0]).to_matrix()], qubits, width)
    known = get_standard_gate_name_mapping()[name]
    gate = known.base_class(*params) if params else known
    return _embedded([gate.to_matrix()], qubits, width)


def _embedded(kraus: Sequence[Matrix], qubits: tuple[int, ...], width: int) -> Matrix:
    """Return the superoperator of a map on some of an error's qubits."""
    whole = [
        Operator(np.eye(2**width)).compose(Operator(each), list(qubits)).data for each in kraus
    ]
    return np.asarray(sum(np.kron(each.conj(), each) for each in whole))
