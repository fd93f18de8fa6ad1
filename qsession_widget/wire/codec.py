"""JSON with Qiskit's objects in it: `{"__type__": NAME, "__value__": VALUE}`.

The format is that of qiskit-ibm-runtime's RuntimeEncoder and RuntimeDecoder, restricted to what
sampler and estimator jobs and their results contain. Nothing here unpickles or evaluates text.
"""

from __future__ import annotations

import base64
import io
import json
import zlib
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from qiskit import QuantumCircuit, qpy
from qiskit.primitives import (
    BitArray,
    DataBin,
    PrimitiveResult,
    PubResult,
    SamplerPubResult,
)
from qiskit.primitives.containers.observables_array import ObservablesArray
from qiskit.qpy.common import QPY_VERSION

from qsession_widget.errors import CodecError

if TYPE_CHECKING:
    from collections.abc import Callable

SERVICE_QPY_VERSION = 17
"""Newest circuit format that IBM's service takes (SERVICE_MAX_SUPPORTED_QPY_VERSION)."""


def dumps(value: Any) -> str:
    """Encode a value as the wire's JSON text.

    Args:
        value: JSON values, circuits, numpy arrays and scalars, complex numbers, datetimes,
            observables and primitive results, nested in any way.

    Raises:
        CodecError: for an object that has no form on the wire.
    """
    return json.dumps(value, default=_encode, separators=(",", ":"))


def loads(text: str | bytes) -> Any:
    """Decode the wire's JSON text.

    Raises:
        CodecError: for text that is not JSON, a type that is not known, or damaged contents.
    """
    try:
        return json.loads(text, object_hook=_decode)
    except json.JSONDecodeError as error:
        raise CodecError(f"not JSON: {error}") from error
    except RecursionError as error:
        raise CodecError("not readable: nested too deeply") from error


def _tagged(name: str, value: Any) -> dict[str, Any]:
    return {"__type__": name, "__value__": value}


def _pack(write: Callable[[io.BytesIO], None]) -> str:
    buffer = io.BytesIO()
    write(buffer)
    return base64.b64encode(zlib.compress(buffer.getvalue())).decode("ascii")


def _unpack(text: str) -> io.BytesIO:
    return io.BytesIO(zlib.decompress(base64.b64decode(text)))


def _encode_array(value: np.ndarray[Any, Any]) -> dict[str, Any]:
    if value.dtype == object:
        return _tagged("ndarray", value.tolist())
    return _tagged("ndarray", _pack(lambda out: np.save(out, value, allow_pickle=False)))


def _encode_circuit(value: QuantumCircuit) -> dict[str, Any]:
    version = min(SERVICE_QPY_VERSION, QPY_VERSION)
    return _tagged("QuantumCircuit", _pack(lambda out: qpy.dump(value, out, version=version)))


def _encode_data_bin(value: DataBin) -> dict[str, Any]:
    fields = dict(value.items())
    return _tagged("DataBin", {"field_names": list(fields), "shape": value.shape, "fields": fields})


def _encode_pub_result(value: PubResult) -> dict[str, Any]:
    name = "SamplerPubResult" if isinstance(value, SamplerPubResult) else "PubResult"
    return _tagged(name, {"data": value.data, "metadata": value.metadata})


_ENCODERS: tuple[tuple[type, Callable[[Any], Any]], ...] = (
    (QuantumCircuit, _encode_circuit),
    (np.ndarray, _encode_array),
    (np.generic, lambda value: value.item()),
    (complex, lambda value: _tagged("complex", [value.real, value.imag])),
    (datetime, lambda value: _tagged("datetime", value.isoformat())),
    (set, lambda value: _tagged("set", list(value))),
    (ObservablesArray, lambda value: _tagged("ObservablesArray", value.tolist())),
    (
        BitArray,
        lambda value: _tagged("BitArray", {"array": value.array, "num_bits": value.num_bits}),
    ),
    (DataBin, _encode_data_bin),
    (PubResult, _encode_pub_result),
    (
        PrimitiveResult,
        lambda value: _tagged(
            "PrimitiveResult", {"pub_results": list(value), "metadata": value.metadata}
        ),
    ),
)


def _encode(value: Any) -> Any:
    for kind, encoder in _ENCODERS:
        if isinstance(value, kind):
            return encoder(value)
    raise CodecError(
        f"{type(value).__module__}.{type(value).__qualname__} has no form on the wire; "
        "allowed are JSON values, circuits, arrays, observables and primitive results"
    )


def _decode_circuit(value: str) -> QuantumCircuit:
    (circuit,) = qpy.load(_unpack(value))
    return circuit


def _decode_array(value: Any) -> Any:
    if isinstance(value, str):
        return np.load(_unpack(value), allow_pickle=False)
    return np.array(value)


def _decode_data_bin(value: dict[str, Any]) -> DataBin:
    return DataBin(shape=tuple(value["shape"]), **value["fields"])


_DECODERS: dict[str, Callable[[Any], Any]] = {
    "QuantumCircuit": _decode_circuit,
    "ndarray": _decode_array,
    "complex": lambda value: complex(*value),
    "datetime": datetime.fromisoformat,
    "set": set,
    "ObservablesArray": ObservablesArray,
    "BitArray": lambda value: BitArray(**value),
    "DataBin": _decode_data_bin,
    "PubResult": lambda value: PubResult(**value),
    "SamplerPubResult": lambda value: SamplerPubResult(**value),
    # The estimator's results differ from a plain PubResult only by their class on IBM's side.
    "EstimatorPubResult": lambda value: PubResult(**value),
    "PrimitiveResult": lambda value: PrimitiveResult(**value),
}


def _decode(obj: dict[str, Any]) -> Any:
    name = obj.get("__type__")
    if name is None:
        return obj
    decoder = _DECODERS.get(name)
    if decoder is None:
        raise CodecError(f"unknown type {name!r}; known are {', '.join(sorted(_DECODERS))}")
    try:
        return decoder(obj["__value__"])
    # Damaged contents surface as whatever numpy, zlib or QPY stumble over.
    except Exception as error:
        raise CodecError(f"a {name} that cannot be read: {error}") from error
