"""Arrays as bytes: the same as NumPy's own, whatever their kind, shape and order."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as made

from qsession_widget.wire import npy

Array = np.ndarray[Any, Any]

ARRAYS = made.arrays(
    st.one_of(
        made.scalar_dtypes(),
        made.unicode_string_dtypes(max_len=3),
        made.array_dtypes(made.integer_dtypes(), max_size=2),
    ),
    made.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4),
)


def saved(array: Array) -> bytes:
    out = io.BytesIO()
    np.save(out, array, allow_pickle=False)
    return out.getvalue()


def loaded(content: bytes) -> Array:
    found: Array = np.load(io.BytesIO(content), allow_pickle=False)
    return found


def orders(array: Array) -> list[Array]:
    """Return the array in both orders, and with gaps between its numbers."""
    apart = np.repeat(array, 2, axis=-1)[..., ::2] if array.ndim else array
    return [array, np.asfortranarray(array), apart]


@given(ARRAYS)
def test_bytes_are_those_of_numpy(array: Array) -> None:
    for each in orders(array):
        assert npy.dumps(each) == saved(each)


@given(ARRAYS)
def test_arrays_are_those_of_numpy(array: Array) -> None:
    for each in orders(array):
        found, wanted = npy.loads(saved(each)), loaded(saved(each))
        assert (found.dtype, found.shape) == (wanted.dtype, wanted.shape)
        assert found.tobytes() == wanted.tobytes()
        assert found.flags.writeable
        assert found.flags.f_contiguous == wanted.flags.f_contiguous


def test_python_objects_are_refused() -> None:
    objects = np.array([{}], dtype=object)
    with pytest.raises(ValueError, match="allow_pickle"):
        npy.dumps(objects)
    out = io.BytesIO()
    np.save(out, objects, allow_pickle=True)
    with pytest.raises(ValueError, match="allow_pickle"):
        npy.loads(out.getvalue())


@pytest.mark.parametrize("length", [0, 5, 9, 60, 128, 128 + 4 * 8 - 1])
def test_bytes_that_are_cut_are_refused(length: int) -> None:
    whole = npy.dumps(np.arange(4.0))
    # NumPy's error for an empty file is an EOFError.
    with pytest.raises((ValueError, EOFError)):
        npy.loads(whole[:length])
    assert npy.loads(whole).tolist() == [0.0, 1.0, 2.0, 3.0]


def test_what_follows_an_array_is_left_alone() -> None:
    assert npy.loads(npy.dumps(np.arange(3)) + b"more").tolist() == [0, 1, 2]
