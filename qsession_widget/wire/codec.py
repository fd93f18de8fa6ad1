"""JSON with Qiskit's objects in it: `{"__type__": NAME, "__value__": VALUE}`.

The format is that of qiskit-ibm-runtime's RuntimeEncoder and RuntimeDecoder, restricted to what
sampler and estimator jobs and their results contain. Nothing here unpickles or evaluates text.
"""

from __future__ import annotations

import base64
import io
import json
import struct
import zlib
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from qiskit import QuantumCircuit, qpy
from qiskit.circuit.exceptions import CircuitError
from qiskit.exceptions import QiskitError
from qiskit.primitives import (
    BitArray,
    DataBin,
    PrimitiveResult,
    PubResult,
    SamplerPubResult,
)
from qiskit.primitives.containers.estimator_pub import EstimatorPub
from qiskit.primitives.containers.observables_array import ObservablesArray
from qiskit.primitives.containers.sampler_pub import SamplerPub
from qiskit.qpy.common import QPY_VERSION

from qsession_widget.errors import CodecError
from qsession_widget.wire import npy
from qsession_widget.wire.execution_spans import SPAN, SPANS, LazySpans
from qsession_widget.wire.portable_circuits import portable, restored

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

SERVICE_QPY_VERSION = 17
"""Newest circuit format that IBM's service takes (SERVICE_MAX_SUPPORTED_QPY_VERSION)."""

SERVICE_OLDEST_QPY_VERSION = 13
"""Oldest circuit format that is accepted in jobs, as at IBM."""

MOST_UNPACKED_BYTES = 256 * 2**20
"""Largest size of a circuit or an array from an untrusted sender once unpacked. zlib packs up to
1,000 to 1, so a small text could take all memory of its reader."""

_QPY_HEADER = struct.Struct("!6s4BQc")
"""Magic, version, three numbers of Qiskit's release, number of circuits, kind of expressions."""


class UnknownTypeError(CodecError):
    """The text names a type that sampler and estimator jobs do not use."""


def encode_circuit(circuit: QuantumCircuit, *, plain: bool = False) -> str:
    """Encode a circuit as the text of its `__value__`.

    Instructions that QPY does not restore are encoded in another form, see `portable`.

    Args:
        circuit: the circuit.
        plain: whether the reader is plain Qiskit, as at IBM, without our own decoder.

    Raises:
        CodecError: if QPY of the service's version cannot represent it.
    """
    version = min(SERVICE_QPY_VERSION, QPY_VERSION)
    try:
        sent = portable(circuit, version, plain=plain)
        return _pack(lambda out: qpy.dump(sent, out, _MetadataEncoder, version=version))
    except CodecError as error:
        raise CodecError(f"circuit {circuit.name!r} has no form on the wire: {error}") from error
    except (TypeError, ValueError, RecursionError, QiskitError) as error:
        raise CodecError(f"circuit {circuit.name!r} has no form on the wire: {error}") from error


def dumps(
    value: Any,
    *,
    circuit: Callable[[QuantumCircuit], str] = encode_circuit,
    allow_nan: bool = True,
) -> str:
    """Encode a value as the wire's JSON text.

    Args:
        value: JSON values, circuits, numpy arrays and scalars, complex numbers, datetimes,
            observables, pubs and primitive results, nested in any way.
        circuit: encodes a circuit; callers may pass a cache.
        allow_nan: whether to write nan and infinity as Python does, though JSON has neither.

    Raises:
        CodecError: for an object that cannot be encoded.
    """
    encode = partial(json.dumps, default=partial(_encode, circuit=circuit), separators=(",", ":"))
    try:
        return str(encode(value, allow_nan=allow_nan))
    except CodecError:
        raise
    # JSON's own limits: types of keys, circular references, depth.
    except (TypeError, ValueError, RecursionError) as error:
        reason = str(error)
        if not allow_nan and _succeeds(encode, value):
            reason = "a number is nan or infinite; allowed are finite numbers"
        raise CodecError(f"has no form on the wire: {reason}") from error


def _succeeds(encode: Callable[[Any], Any], value: Any) -> bool:
    try:
        encode(value)
    except (CodecError, TypeError, ValueError, RecursionError):
        return False
    return True


def joined(pub_results: Sequence[str], metadata: dict[str, Any]) -> str:
    """Encode a PrimitiveResult from pub results that are encoded already.

    Args:
        pub_results: texts, each a PubResult as returned by `dumps`.
        metadata: of the PrimitiveResult.
    """
    value = f'{{"pub_results":[{",".join(pub_results)}],"metadata":{dumps(metadata)}}}'
    return f'{{"__type__":"PrimitiveResult","__value__":{value}}}'


def decode_circuit(text: str, *, oldest: int = 0) -> QuantumCircuit:
    """Decode the text of a circuit's `__value__`.

    Args:
        text: the text.
        oldest: lowest version of QPY that is accepted, for text from untrusted sources, which may
            unpack to `MOST_UNPACKED_BYTES`.

    Raises:
        CodecError: for QPY of a lower version, with symengine's expressions, or too large.
    """
    packed = _unpack(text, MOST_UNPACKED_BYTES if oldest else None)
    if oldest:
        _check_qpy(packed.getvalue()[: _QPY_HEADER.size], oldest)
    try:
        (circuit,) = qpy.load(packed, _MetadataDecoder)
        # Qiskit creates some instructions lazily, when they are looked at here.
        return restored(circuit)
    except CircuitError as error:
        # The reader's error for delays that QPY cannot represent, see `portable`.
        if "'dt' unit" in str(error) or "unit expr" in str(error):
            raise CodecError(
                "it has a delay in another unit than dt, or one that depends on parameters, which "
                "QPY, in which circuits are sent, does not keep: give delays whole numbers of dt"
            ) from error
        raise


def decode_circuits(text: str) -> list[QuantumCircuit]:
    """Decode the circuits of a quantum program, which are one text in the same form.

    Raises:
        CodecError: for a text that cannot be read, or unpacks to more than `MOST_UNPACKED_BYTES`.
    """
    try:
        return list(qpy.load(_unpack(text, MOST_UNPACKED_BYTES), _MetadataDecoder))
    # Damaged contents raise errors of base64, zlib, QPY and others.
    except Exception as error:
        raise CodecError(f"circuits that cannot be read: {error}") from error


def check_text(text: str) -> None:
    """Check that the text of a circuit is safe to read, before Qiskit reads it.

    Qiskit reads expressions of versions below 13 with SymPy or symengine, which evaluate or
    unpickle what they read.

    Raises:
        CodecError: for QPY of a version that the service does not accept, such expressions, or more
            than `MOST_UNPACKED_BYTES`.
    """
    _check_qpy(
        _unpack(text, MOST_UNPACKED_BYTES).getvalue()[: _QPY_HEADER.size],
        SERVICE_OLDEST_QPY_VERSION,
    )


def _check_qpy(start: bytes, oldest: int) -> None:
    if len(start) < _QPY_HEADER.size:
        raise CodecError("it is not QPY: it is shorter than QPY's header")
    magic, version, *_, expressions = _QPY_HEADER.unpack(start[: _QPY_HEADER.size])
    if magic != b"QISKIT":
        raise CodecError("it is not QPY: it does not begin with QISKIT")
    if version < oldest:
        raise CodecError(
            f"its circuit is in QPY version {version}; this service reads version {oldest} and "
            f"later: qiskit.qpy.dump(circuit, file, version={oldest})"
        )
    if expressions == b"e":
        raise CodecError(
            "its circuit has expressions of symengine; this service reads those in SymPy's form: "
            "qiskit.qpy.dump(circuit, file, use_symengine=False)"
        )


def loads(
    text: str | bytes,
    *,
    circuit: Callable[[str], QuantumCircuit] = decode_circuit,
    opaque: Collection[str] = (),
    most_bytes: int | None = None,
) -> Any:
    """Decode the wire's JSON text.

    Args:
        text: the text.
        circuit: decodes the text of a circuit; callers may pass a cache.
        opaque: types that are not decoded, for callers that only pass them on.
        most_bytes: limit of what an array unpacks to, for text from untrusted sources.

    Raises:
        UnknownTypeError: for an unknown type.
        CodecError: for text that is not JSON, and for damaged or too large contents.
    """
    try:
        hook = partial(_decode, circuit=circuit, opaque=opaque, most_bytes=most_bytes)
        return json.loads(text, object_hook=hook)
    except CodecError:
        raise
    # Text that is not JSON, bytes that are not UTF-8, and integers that are too long.
    except ValueError as error:
        raise CodecError(f"not JSON: {error}") from error
    except RecursionError as error:
        raise CodecError("not readable: nested too deeply") from error


def _tagged(name: str, value: Any) -> dict[str, Any]:
    return {"__type__": name, "__value__": value}


def _pack(write: Callable[[io.BytesIO], None]) -> str:
    buffer = io.BytesIO()
    write(buffer)
    return _packed(buffer.getvalue())


def _packed(content: bytes) -> str:
    return base64.b64encode(zlib.compress(content)).decode("ascii")


def _unpack(text: str, most_bytes: int | None = None) -> io.BytesIO:
    packed = base64.b64decode(text)
    if most_bytes is None:
        return io.BytesIO(zlib.decompress(packed))
    reader = zlib.decompressobj()
    unpacked = reader.decompress(packed, most_bytes + 1)
    if len(unpacked) > most_bytes:
        raise CodecError(f"it unpacks to more than {most_bytes} bytes")
    if not reader.eof:
        raise CodecError("it is cut off")
    return io.BytesIO(unpacked)


def _encode_array(value: np.ndarray[Any, Any]) -> dict[str, Any]:
    if value.dtype == object:
        return _tagged("ndarray", value.tolist())
    return _tagged("ndarray", _packed(npy.dumps(value)))


def _encode_sampler_pub(value: SamplerPub) -> list[Any]:
    values = value.parameter_values.as_array(value.circuit.parameters)
    return [value.circuit, values, value.shots]


def _encode_estimator_pub(value: EstimatorPub) -> list[Any]:
    values = value.parameter_values.as_array(value.circuit.parameters)
    return [value.circuit, value.observables.tolist(), values, value.precision]


def _encode_data_bin(value: DataBin) -> dict[str, Any]:
    fields = dict(value.items())
    return _tagged("DataBin", {"field_names": list(fields), "shape": value.shape, "fields": fields})


def _encode_pub_result(value: PubResult) -> dict[str, Any]:
    name = "SamplerPubResult" if isinstance(value, SamplerPubResult) else "PubResult"
    return _tagged(name, {"data": value.data, "metadata": value.metadata})


_ENCODERS: tuple[tuple[type, Callable[[Any], Any]], ...] = (
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
    (SamplerPub, _encode_sampler_pub),
    (EstimatorPub, _encode_estimator_pub),
    (DataBin, _encode_data_bin),
    (PubResult, _encode_pub_result),
    (
        PrimitiveResult,
        lambda value: _tagged(
            "PrimitiveResult", {"pub_results": list(value), "metadata": value.metadata}
        ),
    ),
)


def _encode(value: Any, circuit: Callable[[QuantumCircuit], str] = encode_circuit) -> Any:
    if type(value) is LazySpans:
        return value.document
    if isinstance(value, QuantumCircuit):
        return _tagged("QuantumCircuit", circuit(value))
    for kind, encoder in _ENCODERS:
        if isinstance(value, kind):
            return encoder(value)
    raise CodecError(
        f"{type(value).__module__}.{type(value).__qualname__} has no form on the wire; "
        "allowed are JSON values, circuits, arrays, observables and primitive results"
    )


def _decode_array(value: Any, most_bytes: int | None = None) -> Any:
    if isinstance(value, str):
        return npy.loads(_unpack(value, most_bytes).getvalue())
    return np.array(value)


def _decode_data_bin(value: dict[str, Any]) -> DataBin:
    return DataBin(shape=tuple(value["shape"]), **value["fields"])


_DECODERS: dict[str, Callable[[Any], Any]] = {
    "QuantumCircuit": decode_circuit,
    "ndarray": _decode_array,
    "complex": lambda value: complex(*value),
    "datetime": datetime.fromisoformat,
    "set": set,
    "ObservablesArray": ObservablesArray,
    "BitArray": lambda value: BitArray(**value),
    "DataBin": _decode_data_bin,
    "PubResult": lambda value: PubResult(**value),
    "SamplerPubResult": lambda value: SamplerPubResult(**value),
    # At IBM an estimator's results have their own class, with the contents of a PubResult.
    "EstimatorPubResult": lambda value: PubResult(**value),
    "PrimitiveResult": lambda value: PrimitiveResult(**value),
    SPAN: lambda value: _tagged(SPAN, value),
    SPANS: lambda value: LazySpans(partial(dumps, _tagged(SPANS, value))),
}


def _decode(
    obj: dict[str, Any],
    circuit: Callable[[str], QuantumCircuit] = decode_circuit,
    opaque: Collection[str] = (),
    most_bytes: int | None = None,
) -> Any:
    name = obj.get("__type__")
    if name is None or name in opaque:
        return obj
    decoder = _DECODERS.get(name) if isinstance(name, str) else None
    if decoder is None:
        raise UnknownTypeError(f"unknown type {name!r}; known are {', '.join(sorted(_DECODERS))}")
    if name == "QuantumCircuit":
        decoder = circuit
    elif name == "ndarray":
        decoder = partial(_decode_array, most_bytes=most_bytes)
    try:
        return decoder(obj["__value__"])
    # Damaged contents raise errors of numpy, zlib, QPY and others.
    except Exception as error:
        raise CodecError(f"a {name} that cannot be read: {error}") from error


class _MetadataEncoder(json.JSONEncoder):
    """Encodes a circuit's metadata for QPY, which expects a class."""

    def default(self, o: Any) -> Any:
        return _encode(o)


class _MetadataDecoder(json.JSONDecoder):
    """Decodes a circuit's metadata for QPY."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{**settings, "object_hook": _decode})
