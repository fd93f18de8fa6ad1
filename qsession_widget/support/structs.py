"""Reads msgspec's structs, also where several threads read the same type for the first time.

At the first use of a struct's type msgspec collects the types of its fields. It makes what it has
collected so far known to all threads, and runs Python code in between: a second thread that reads
the same type at that moment ends the process by a segmentation fault.
"""

from __future__ import annotations

import os
import threading
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")

_one_at_a_time = threading.Lock()
_prepared: set[Any] = set()

# A child must not find a type of which only a part was collected.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_one_at_a_time.acquire,
        after_in_parent=_one_at_a_time.release,
        after_in_child=_one_at_a_time.release,
    )


def convert(found: Any, kind: type[T]) -> T:
    """Read decoded JSON as a type.

    Args:
        found: what the JSON was decoded to.
        kind: the type; a union of types may be given as well.

    Raises:
        msgspec.ValidationError: if it is of another form.
    """
    _prepare(kind)
    return msgspec.convert(found, kind)


def decode(raw: Any, kind: type[T]) -> T:
    """Read JSON as a type.

    Args:
        raw: bytes, or what has them, as a buffer or as `msgspec.Raw`.
        kind: the type; a union of types may be given as well.

    Raises:
        msgspec.DecodeError: if it is no JSON, or is of another form.
    """
    _prepare(kind)
    return msgspec.json.decode(raw, type=kind)


def _prepare(kind: Any) -> None:
    """Make a type, and all those of its fields, ready for reading."""
    if kind in _prepared:
        return
    with _one_at_a_time:
        msgspec.json.Decoder(kind)
        _prepared.add(kind)
