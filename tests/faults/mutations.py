"""Seeded mutations of valid job bodies, in structure and bytes."""

from __future__ import annotations

import base64
import copy
import json
import random
import zlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

ODD: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    1e308,
    2**63,
    -(2**70),
    "",
    "\x00",
    "\u202e\U0001f4a9",
    "9" * 400,
    [],
    {},
    [[[[[]]]]],
    {"__type__": "ndarray"},
    {"__type__": "QuantumCircuit", "__value__": None},
    {"__type__": "DataBin", "__value__": {"shape": [1], "fields": {}}},
    {"__type__": ["list"], "__value__": {}},
    {"__value__": 1},
)


class Mutator:
    """Mutates valid bodies.

    Args:
        good: valid JSON objects.
        seed: the same seed gives the same bodies.
    """

    def __init__(self, good: Sequence[dict[str, Any]], seed: int) -> None:
        self._good = good
        self._random = random.Random(seed)  # noqa: S311 - mutations keep no secret

    def bodies(self, count: int) -> Iterator[bytes]:
        """Yield so many bodies."""
        for _ in range(count):
            yield self._body()

    def _body(self) -> bytes:
        choose = self._random
        body = copy.deepcopy(choose.choice(self._good))
        for _ in range(choose.choice((1, 1, 1, 2, 3, 8))):
            places = list(_places(body))
            if not places:
                break
            holder, key = choose.choice(places)
            self._change(holder, key)
        raw = json.dumps(body).encode()
        return self._damaged(raw) if choose.random() < 0.3 else raw

    def _change(self, holder: Any, key: Any) -> None:
        choose = self._random
        value = holder[key]
        changes: list[Callable[[], Any]] = [
            lambda: copy.deepcopy(choose.choice(ODD)),
            lambda: [value],
            lambda: {"__type__": choose.choice(_TYPES), "__value__": value},
            lambda: {str(key): value},
        ]
        match value:
            case bool():
                changes += [lambda: not value]
            case int() | float():
                changes += [lambda: -value, lambda: value + 1, lambda: value * 10**6, lambda: 0.5]
            case str():
                changes += [lambda: self._text(value)] * 6
            case list():
                changes += [
                    lambda: value * choose.choice((0, 2, 50)),
                    lambda: value[::-1],
                    lambda: value[:-1],
                ]
            case dict():
                changes += [
                    lambda: {name: value[name] for name in list(value)[1:]},
                    lambda: {**value, "more": value},
                ]
        holder[key] = choose.choice(changes)()

    def _text(self, value: str) -> str:
        """Change a text; a compressed one is changed inside in half of the cases."""
        choose = self._random
        try:
            inner = zlib.decompress(base64.b64decode(value, validate=True))
        except (ValueError, zlib.error):
            inner = b""
        if inner and choose.random() < 0.8:
            return base64.b64encode(zlib.compress(self._damaged(inner))).decode()
        return self._damaged(value.encode()).decode(errors="replace")

    def _damaged(self, raw: bytes) -> bytes:
        choose = self._random
        found = bytearray(raw)
        for _ in range(choose.choice((1, 1, 2, 5, 30))):
            place = choose.randrange(len(found) + 1)
            match choose.randrange(5):
                case 0:
                    found[place : place + 1] = bytes([choose.randrange(256)])
                case 1:
                    del found[place : place + choose.choice((1, 2, 16, 1000))]
                case 2:
                    found[place:place] = choose.randbytes(choose.choice((1, 4, 64)))
                case 3:
                    found[place:place] = found[place : place + choose.choice((1, 8, 200))]
                case _:
                    # The largest numbers test fields that are lengths.
                    found[place : place + 4] = choose.choice((b"\xff" * 4, b"\x7f\xff\xff\xff"))
        return bytes(found)


_TYPES = ("QuantumCircuit", "ndarray", "complex", "set", "BitArray", "PubResult", "datetime", "x")


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every place inside a JSON value, as its container and key."""
    keys: list[Any] = []
    if isinstance(value, dict):
        keys = list(value)
    elif isinstance(value, list):
        keys = list(range(len(value)))
    for key in keys:
        yield value, key
        yield from _places(value[key])
