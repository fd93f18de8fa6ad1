"""Bitmaps are sets of numbers."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from qsession_widget.runtime.store import bitmaps
from qsession_widget.runtime.store.bitmaps import BLOCK, Bits

NUMBERS = st.sets(st.integers(0, 3 * BLOCK), max_size=50)
MANY = set(range(100, BLOCK * 2, 3))


def numbers(bits: Bits) -> set[int]:
    return set(bitmaps.page(bits, 0, 10 * BLOCK, ascending=True))


def rows(some: set[int]) -> list[tuple[int, bytes]]:
    """Write a set as the store does, block by block."""
    found = []
    for block in {number // BLOCK for number in some}:
        places = [number % BLOCK for number in some if number // BLOCK == block]
        blob: bytes | None = None
        for at in range(0, len(places), 100):
            blob = bitmaps.changed(blob, places[at : at + 100], ())
        assert blob is not None
        found.append((block, blob))
    return found


@given(NUMBERS, NUMBERS)
@example(MANY, set(range(0, BLOCK, 2)))
def test_bitmaps_are_sets(one: set[int], other: set[int]) -> None:
    first, second = bitmaps.of(one), bitmaps.of(other)
    assert numbers(bitmaps.union(rows(one))) == one
    assert numbers(bitmaps.union([*rows(one), *rows(other)])) == one | other
    assert numbers(bitmaps.both(first, second)) == one & other
    assert numbers(bitmaps.either(first, second)) == one | other
    assert numbers(bitmaps.without(first, second)) == one - other
    assert bitmaps.count(first) == len(one)


@given(NUMBERS, NUMBERS)
@example(MANY, set(range(100, BLOCK)))
def test_a_change_of_a_block_is_one_of_the_set(before: set[int], removed: set[int]) -> None:
    before = {number % BLOCK for number in before}
    removed = {number % BLOCK for number in removed}
    added = {number + 1 for number in removed if number + 1 < BLOCK} - removed
    blob = bitmaps.changed(None, before, ())
    after = bitmaps.changed(blob, added, removed)
    left = (before | added) - removed
    assert (numbers(bitmaps.union([(0, after)])) if after else set()) == left
    assert after is None or len(after) <= BLOCK // 8


@given(NUMBERS, st.integers(0, 3 * BLOCK), st.integers(0, 3 * BLOCK))
def test_a_range_has_both_its_ends(some: set[int], first: int, last: int) -> None:
    found = bitmaps.between(bitmaps.of(some), first, last)
    assert numbers(found) == {number for number in some if first <= number <= last}


@given(NUMBERS, st.integers(0, 60), st.integers(1, 60), st.booleans())
@example(MANY, 4_000, 100, False)
def test_pages_are_in_order(some: set[int], offset: int, limit: int, ascending: bool) -> None:
    expected = sorted(some, reverse=not ascending)[offset : offset + limit]
    found = bitmaps.page(bitmaps.of(some), offset, limit, ascending=ascending)
    assert found == expected
