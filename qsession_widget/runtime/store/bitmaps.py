"""Sets of numbers as bitmaps in blocks: what the index of lists is made of.

A set is kept as one row for each block of `BLOCK` numbers that it has a member in. A row's bytes
are a bitmap where many are members, and the members themselves where few are. In memory a block is
an int, so that Python combines and counts thousands of members at once.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

BLOCK = 8_192
"""How many numbers a block has. Its bitmap is one kilobyte, which fits into a page of SQLite."""

_DENSE_BYTES = BLOCK // 8
_PART = 256
_PLACES = "H"
_PLACE_BYTES = array(_PLACES).itemsize
_ABSENT, _PRESENT = b"01"

Bits = dict[int, int]
"""A set of numbers: for each block its members as the bits of an int."""


def changed(blob: bytes | None, added: Iterable[int], removed: Iterable[int]) -> bytes | None:
    """Return the bytes of a block after a change; None for a block without members.

    Args:
        blob: the bytes before, None if there were none.
        added: places in the block that become members.
        removed: places that no longer are, none of them among `added`.
    """
    if blob is not None and len(blob) == _DENSE_BYTES:
        return _dense(int.from_bytes(blob, "little"), added, removed)
    places = array(_PLACES, blob or b"")
    for place in removed:
        if place in places:
            places.remove(place)
    places.extend(set(added).difference(places))
    if len(places) * _PLACE_BYTES >= _DENSE_BYTES:
        return _dense(0, places, ())
    return places.tobytes() if places else None


def _dense(bits: int, added: Iterable[int], removed: Iterable[int]) -> bytes | None:
    for place in added:
        bits |= 1 << place
    for place in removed:
        bits &= ~(1 << place)
    return bits.to_bytes(_DENSE_BYTES, "little") if bits else None


def union(rows: Iterable[tuple[int, bytes]]) -> Bits:
    """Return the numbers of one or more sets, from their rows of block and bytes."""
    found: Bits = {}
    sparse: dict[int, bytearray] = {}
    for block, blob in rows:
        if len(blob) == _DENSE_BYTES:
            found[block] = found.get(block, 0) | int.from_bytes(blob, "little")
            continue
        # Binary digits, highest first: setting one costs much less than shifting an int.
        digits = sparse.get(block)
        if digits is None:
            digits = sparse[block] = bytearray([_ABSENT]) * BLOCK
        for place in array(_PLACES, blob):
            digits[BLOCK - 1 - place] = _PRESENT
    for block, digits in sparse.items():
        found[block] = found.get(block, 0) | int(digits, 2)
    return found


def of(numbers: Iterable[int]) -> Bits:
    """Return the set of a few numbers."""
    found: Bits = {}
    for number in numbers:
        block, place = divmod(number, BLOCK)
        found[block] = found.get(block, 0) | 1 << place
    return found


def both(one: Bits, other: Bits) -> Bits:
    """Return the numbers that are in both sets."""
    return {block: bits & other[block] for block, bits in one.items() if block in other}


def either(one: Bits, other: Bits) -> Bits:
    """Return the numbers that are in one of two sets."""
    return {block: one.get(block, 0) | other.get(block, 0) for block in one.keys() | other.keys()}


def without(one: Bits, other: Bits) -> Bits:
    """Return the numbers of a set that are not in the other one."""
    return {block: bits & ~other.get(block, 0) for block, bits in one.items()}


def between(some: Bits, first: int, last: int) -> Bits:
    """Return the numbers of a set from `first` to `last`, both included."""
    found: Bits = {}
    for block, bits in some.items():
        low, high = first - block * BLOCK, last - block * BLOCK
        if high < 0 or low >= BLOCK:
            continue
        mask = (1 << min(high + 1, BLOCK)) - 1
        found[block] = bits & mask & ~((1 << max(low, 0)) - 1)
    return found


def count(some: Bits) -> int:
    """Return how many numbers are in a set."""
    return sum(bits.bit_count() for bits in some.values())


def page(some: Bits, offset: int, limit: int, *, ascending: bool) -> list[int]:
    """Return up to `limit` numbers of a set in order, after the first `offset` of them."""
    found: list[int] = []
    for first, bits in _parts(some, offset, ascending=ascending):
        within = bits.bit_count()
        if offset >= within:
            offset -= within
            continue
        places = _places(bits)
        if not ascending:
            places.reverse()
        found += [first + place for place in places[offset : offset + limit - len(found)]]
        offset = 0
        if len(found) == limit:
            break
    return found


def _parts(some: Bits, skipped: int, *, ascending: bool) -> Iterator[tuple[int, int]]:
    """Yield small parts, each as its first number and its bits; a block to skip may be one part."""
    starts = range(0, BLOCK, _PART)
    mask = (1 << _PART) - 1
    for block in sorted(some, reverse=not ascending):
        bits, first = some[block], block * BLOCK
        within = bits.bit_count()
        if skipped >= within:
            skipped -= within
            yield first, bits
            continue
        skipped = 0
        for start in starts if ascending else reversed(starts):
            yield first + start, bits >> start & mask


def _places(bits: int) -> list[int]:
    return [place for place, digit in enumerate(reversed(bin(bits))) if digit == "1"]
