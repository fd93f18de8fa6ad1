"""Arrays as the bytes of a `.npy` file, with a cache of usual headers.

NumPy parses the header of each array as a Python expression, which takes longer than the array of a
small result. A loop sends and receives arrays of the same few shapes.
"""

from __future__ import annotations

import io
import math
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.lib import format as numpy_format

_NUMBERS = "biufc"
"""Kinds of arrays that hold plain numbers (`numpy.dtype.kind`); NumPy itself handles the others."""

_VERSION_1 = b"\x93NUMPY\x01\x00"
_START = 10
"""Bytes of the magic, the version and the length of the rest of a header."""

_LONGEST_HEAD = 256
"""Longer headers are not cached; those of numbers have 128 bytes."""

_Array = np.ndarray[Any, Any]


def dumps(array: _Array) -> bytes:
    """Return an array as the bytes of a file (`numpy.save`).

    Raises:
        ValueError: for an array of Python objects.
    """
    if array.dtype.kind in _NUMBERS and array.flags.c_contiguous:
        return _head(array.dtype.str, array.shape) + array.tobytes()
    out = io.BytesIO()
    np.save(out, array, allow_pickle=False)
    return out.getvalue()


def loads(content: bytes) -> _Array:
    """Return the array in the bytes of a file (`numpy.load`).

    Raises:
        ValueError: for bytes that are not an array, hold Python objects, or are too few.
    """
    end = _START + int.from_bytes(content[_START - 2 : _START], "little")
    if content.startswith(_VERSION_1) and end <= _LONGEST_HEAD:
        dtype, shape, order = _read_head(content[:end])
        count = math.prod(shape)
        if dtype.kind in _NUMBERS and 0 < count * dtype.itemsize <= len(content) - end:
            flat = np.frombuffer(content, dtype, count, end)
            # A copy, since what is made of bytes cannot be changed.
            return flat.reshape(shape, order=order).copy(order="K")
    found: _Array = np.load(io.BytesIO(content), allow_pickle=False)
    return found


@lru_cache(maxsize=128)
def _head(dtype: str, shape: tuple[int, ...]) -> bytes:
    out = io.BytesIO()
    numpy_format.write_array_header_1_0(
        out, {"descr": dtype, "fortran_order": False, "shape": shape}
    )
    return out.getvalue()


@lru_cache(maxsize=128)
def _read_head(head: bytes) -> tuple[np.dtype[Any], tuple[int, ...], Any]:
    stream = io.BytesIO(head)
    numpy_format.read_magic(stream)
    shape, in_columns, dtype = numpy_format.read_array_header_1_0(stream)
    return dtype, shape, "F" if in_columns else "C"
