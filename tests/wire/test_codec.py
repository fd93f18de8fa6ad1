"""The codec, compared with qiskit-ibm-runtime's encoder and decoder in both directions."""

from __future__ import annotations

import base64
import io
import json
import math
import zlib
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.circuit.library import efficient_su2
from qiskit.primitives import (
    BitArray,
    DataBin,
    PrimitiveResult,
    PubResult,
    SamplerPubResult,
    StatevectorEstimator,
    StatevectorSampler,
)
from qiskit.primitives.containers.estimator_pub import EstimatorPub
from qiskit.primitives.containers.observables_array import ObservablesArray
from qiskit.primitives.containers.sampler_pub import SamplerPub
from qiskit.quantum_info import SparsePauliOp
from qiskit_ibm_runtime import RuntimeDecoder, RuntimeEncoder

from qsession_widget.errors import CodecError
from qsession_widget.wire import codec
from tests.client.circuits import bell

if TYPE_CHECKING:
    from collections.abc import Callable

    Dumps = Callable[[Any], str]
    Loads = Callable[[str], Any]


def official_dumps(value: Any) -> str:
    return json.dumps(value, cls=RuntimeEncoder)


def official_loads(text: str) -> Any:
    return json.loads(text, cls=RuntimeDecoder)


directions = pytest.mark.parametrize(
    ("dumps", "loads"),
    [
        pytest.param(codec.dumps, official_loads, id="ours-official"),
        pytest.param(official_dumps, codec.loads, id="official-ours"),
        pytest.param(codec.dumps, codec.loads, id="ours-ours"),
    ],
)


def branching() -> QuantumCircuit:
    circuit = QuantumCircuit(1, 1)
    circuit.h(0)
    circuit.measure(0, 0)
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.x(0)
    return circuit


def parametric() -> QuantumCircuit:
    theta = Parameter("θ")
    circuit = QuantumCircuit(1)
    circuit.rx(2 * theta + 1, 0)
    return circuit


@directions
@pytest.mark.parametrize(
    "circuit", [bell(), branching(), parametric(), efficient_su2(3), QuantumCircuit()], ids=str
)
def test_circuits(dumps: Dumps, loads: Loads, circuit: QuantumCircuit) -> None:
    again = loads(dumps(circuit))
    assert again == circuit
    assert again.name == circuit.name
    assert [register.name for register in again.cregs] == [
        register.name for register in circuit.cregs
    ]


@directions
def test_metadata_of_circuits(dumps: Dumps, loads: Loads) -> None:
    circuit = QuantumCircuit(1, metadata={"run": 3, "values": np.arange(3), "when": {"a": 1j}})
    metadata = loads(dumps(circuit)).metadata
    assert metadata["run"] == 3
    # The official decoder does not decode metadata.
    if loads is codec.loads:
        np.testing.assert_array_equal(metadata["values"], np.arange(3))
        assert metadata["when"] == {"a": 1j}


def test_circuits_are_of_a_version_that_the_service_reads() -> None:
    text = json.loads(codec.dumps(bell()))["__value__"]
    header = zlib.decompress(base64.b64decode(text))
    assert header[:6] == b"QISKIT"
    assert header[6] <= codec.SERVICE_QPY_VERSION


@directions
@pytest.mark.parametrize(
    "array",
    [
        np.zeros(0),
        np.array(1.5),
        np.arange(6).reshape(2, 3),
        np.array([[1 + 2j]]),
        np.array([True, False]),
        np.array(["a", "bc"]),
        np.array([np.nan, np.inf]),
    ],
    ids=str,
)
def test_arrays(dumps: Dumps, loads: Loads, array: np.ndarray[Any, Any]) -> None:
    again = loads(dumps(array))
    assert (again.dtype, again.shape) == (array.dtype, array.shape)
    np.testing.assert_array_equal(again, array)


@directions
@pytest.mark.parametrize(
    "value",
    [
        {"a": [1, 2.5, None, True, "x"]},
        1 + 2j,
        {1, 2},
        datetime(2026, 11, 22, 12, 23, 41, 752000, tzinfo=UTC),
        np.int64(7),
        [[{"IZ": 0.5}], [{"ZZ": 1.0}]],
    ],
    ids=str,
)
def test_values(dumps: Dumps, loads: Loads, value: Any) -> None:
    assert loads(dumps(value)) == value


def random_bits(shape: tuple[int, ...], num_bits: int) -> BitArray:
    generator = np.random.default_rng(1)
    return BitArray.from_bool_array(generator.integers(0, 2, (*shape, num_bits)).astype(bool))


@directions
@pytest.mark.parametrize("bits", [random_bits((5,), 1), random_bits((2, 3, 4), 9)], ids=str)
def test_bits(dumps: Dumps, loads: Loads, bits: BitArray) -> None:
    assert loads(dumps(bits)) == bits


@directions
def test_results(dumps: Dumps, loads: Loads) -> None:
    sampled = StatevectorSampler(seed=1).run([bell(), (bell(), None, 5)]).result()
    estimated = StatevectorEstimator().run([(parametric(), ["X", "Z"], [[1.0], [2.0]])]).result()
    for result in (sampled, estimated):
        again = loads(dumps(result))
        assert isinstance(again, PrimitiveResult)
        assert again.metadata == result.metadata
        for pub, was in zip(again, result, strict=True):
            assert isinstance(pub, type(was))
            assert pub.metadata == was.metadata
            assert pub.data.shape == was.data.shape
            assert list(pub.data) == list(was.data)
            for field in was.data:
                one, other = pub.data[field], was.data[field]
                assert one == other if isinstance(other, BitArray) else np.all(one == other)


def test_results_that_are_encoded_one_by_one_make_the_same_whole() -> None:
    bits = BitArray(np.array([[1], [2]], dtype=np.uint8), num_bits=2)
    pubs = [
        SamplerPubResult(DataBin(meas=bits), metadata={"shots": 2}),
        PubResult(DataBin(evs=np.array(0.5)), metadata={}),
    ]
    for some in (pubs, pubs[:1], []):
        whole = PrimitiveResult(some, metadata={"version": 2})
        texts = [codec.dumps(each) for each in some]
        assert codec.joined(texts, metadata={"version": 2}) == codec.dumps(whole)


def test_an_estimators_result_of_ibm() -> None:
    data = {"data": DataBin(evs=np.array(0.5), shape=()), "metadata": {"shots": 4}}
    text = official_dumps({"__type__": "EstimatorPubResult", "__value__": data})
    again = codec.loads(text)
    assert type(again) is PubResult
    assert again.data.evs == 0.5
    assert again.metadata == {"shots": 4}


@pytest.mark.parametrize(
    "pub",
    [
        SamplerPub.coerce(bell()),
        SamplerPub.coerce((bell(), None, 7)),
        SamplerPub.coerce((parametric().measure_all(inplace=False), [[1.0], [2.0]])),
        EstimatorPub.coerce((bell(), "ZZ")),
        EstimatorPub.coerce((parametric(), ["X", "Z"], [[1.0], [2.0]], 0.1)),
        EstimatorPub.coerce((bell(), [[SparsePauliOp(["ZZ", "XX"], [1, 0.5])], ["YY"]])),
    ],
    ids=str,
)
def test_pubs_are_sent_as_the_official_client_sends_them(pub: SamplerPub | EstimatorPub) -> None:
    ours, official = official_loads(codec.dumps(pub)), official_loads(official_dumps(pub))
    assert len(ours) == len(official)
    for one, other in zip(ours, official, strict=True):
        if isinstance(other, np.ndarray):
            np.testing.assert_array_equal(one, other)
            assert one.shape == other.shape
        else:
            assert one == other
    kind = SamplerPub if isinstance(pub, SamplerPub) else EstimatorPub
    again = kind.coerce(codec.loads(codec.dumps(pub)))
    assert again.circuit == pub.circuit
    assert again.shape == pub.shape


@directions
def test_observables(dumps: Dumps, loads: Loads) -> None:
    observables = ObservablesArray([["ZZ"], [{"XX": 0.5, "YY": 2.0}]])
    again = loads(dumps(observables))
    assert isinstance(again, ObservablesArray)
    assert again.tolist() == observables.tolist()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.text().filter(lambda key: not key.startswith("__")), inner)
    ),
    max_leaves=20,
)


@given(json_values)
def test_plain_json_is_unchanged(value: Any) -> None:
    assert codec.loads(codec.dumps(value)) == value
    assert official_loads(codec.dumps(value)) == value


@pytest.mark.parametrize(
    "value",
    [
        b"bytes",
        object(),
        lambda: None,
        {(1, 2): 3},
        [{"deep": [object()]}],
        QuantumCircuit(1, metadata={"x": object()}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_values_without_a_form_on_the_wire_are_refused(value: Any) -> None:
    with pytest.raises(CodecError, match="no form on the wire"):
        codec.dumps(value)


def test_a_circular_value_is_refused() -> None:
    circle: list[Any] = []
    circle.append(circle)
    with pytest.raises(CodecError, match="no form on the wire"):
        codec.dumps(circle)


@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_a_number_that_json_does_not_have_is_named_where_it_is_not_allowed(number: float) -> None:
    assert codec.loads(codec.dumps([1.5])) == [1.5]
    assert "NaN" in codec.dumps([math.nan])
    with pytest.raises(CodecError, match="nan or infinite"):
        codec.dumps({"x": [number]}, allow_nan=False)
    circle: list[Any] = [1.0]
    circle.append(circle)
    with pytest.raises(CodecError, match="Circular"):
        codec.dumps(circle, allow_nan=False)


def tagged(kind: str, value: Any) -> str:
    return json.dumps({"__type__": kind, "__value__": value})


def packed(write: Callable[[io.BytesIO], Any]) -> str:
    buffer = io.BytesIO()
    write(buffer)
    return base64.b64encode(zlib.compress(buffer.getvalue())).decode()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        b"\xff",
        "9" * 5000,
        "[" * 100_000,
        tagged("QuantumCircuit", "!!!"),
        tagged("QuantumCircuit", packed(lambda buffer: buffer.write(b"QISKIT"))),
        tagged("QuantumCircuit", None),
        tagged("ndarray", packed(lambda buffer: buffer.write(b"no array"))),
        tagged("BitArray", {"array": 1}),
        tagged("DataBin", {"fields": {}}),
        tagged("datetime", "yesterday"),
        tagged("complex", [1, 2, 3]),
        json.dumps({"__type__": "ndarray"}),
        json.dumps({"__type__": ["ndarray"], "__value__": 1}),
    ],
    ids=lambda text: str(text[:40]),
)
def test_damaged_text(text: str | bytes) -> None:
    with pytest.raises(CodecError):
        codec.loads(text)


@pytest.mark.parametrize("kind", ["QuantumCircuit", "ndarray"])
def test_a_small_text_does_not_become_a_large_one(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(codec, "MOST_UNPACKED_BYTES", 100_000)
    text = packed(lambda buffer: np.save(buffer, np.zeros(20_000)))
    assert len(text) < 1_000
    strictly = partial(codec.decode_circuit, oldest=codec.SERVICE_OLDEST_QPY_VERSION)
    with pytest.raises(CodecError, match="unpacks to more than 100000 bytes"):
        codec.loads(tagged(kind, text), circuit=strictly, most_bytes=codec.MOST_UNPACKED_BYTES)
    with pytest.raises(CodecError, match="unpacks to more than 100000 bytes"):
        codec.check_text(text)
    cut = base64.b64encode(base64.b64decode(text)[:-9]).decode()
    with pytest.raises(CodecError, match="cut off"):
        codec.loads(tagged("ndarray", cut), most_bytes=1_000_000)
    # Clients that read their own results have no such limit.
    assert codec.loads(tagged("ndarray", text)).shape == (20_000,)


def test_pickles_are_not_loaded() -> None:
    opened: list[int] = []

    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return opened.append, (1,)

    array = np.array([Trap()], dtype=object)
    text = tagged("ndarray", packed(lambda buffer: np.save(buffer, array, allow_pickle=True)))
    with pytest.raises(CodecError, match="ndarray"):
        codec.loads(text)
    assert opened == []


def test_a_type_that_is_not_known_is_named() -> None:
    with pytest.raises(codec.UnknownTypeError, match=r"'settings'.*known are"):
        codec.loads(tagged("settings", {}))


def test_a_type_can_be_passed_on_unread() -> None:
    text = tagged("settings", {"value": json.loads(tagged("complex", [1.0, 2.0]))})
    found = codec.loads(text, opaque=("settings",))
    assert found == {"__type__": "settings", "__value__": {"value": 1 + 2j}}
    assert json.loads(codec.dumps(found)) == json.loads(text)


def test_sampler_results_keep_their_class() -> None:
    result = SamplerPubResult(DataBin(cr=random_bits((3,), 2)), metadata={})
    assert type(codec.loads(codec.dumps(result))) is SamplerPubResult
