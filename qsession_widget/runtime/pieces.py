"""Long texts in pieces, so that no step with one of them holds up other requests.

Copying or decoding a text of 60 MB holds the GIL for 40 ms and more, whichever thread does it. So
from the socket to the store, to the worker and back, a long one is UTF-8 in pieces.
"""

from __future__ import annotations

import codecs
import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

PIECE_BYTES = 2**20
"""The largest piece; a longer text is a long one."""


@dataclass(frozen=True, eq=False)
class Content:
    """A long text in memory.

    Attributes:
        pieces: its UTF-8, which may be cut within a character.
        digest: SHA-256 of it all, where it will be compared.
    """

    pieces: Sequence[bytes | memoryview] = field(repr=False)
    digest: bytes = b""

    @property
    def size(self) -> int:
        """Its length in bytes."""
        return sum(map(len, self.pieces))


@dataclass(frozen=True)
class LongText:
    """A long text in the store.

    Attributes:
        size: its length in bytes.
        digest: SHA-256 of it, where it is known.
        key: of its pieces; empty for a text of an earlier release, which is in one piece.
    """

    size: int
    digest: bytes = b""
    key: str = ""


def cut(text: bytes | bytearray | memoryview) -> list[memoryview]:
    """Cut a text into pieces, without copying it."""
    view = memoryview(text)
    return [view[start : start + PIECE_BYTES] for start in range(0, len(view), PIECE_BYTES)]


def digest(pieces: Sequence[bytes | memoryview]) -> bytes:
    """Return the SHA-256 of a text. Other threads run meanwhile."""
    found = hashlib.sha256()
    for piece in pieces:
        found.update(piece)
    return found.digest()


def check_utf8(pieces: Sequence[bytes | memoryview]) -> None:
    """Check that pieces are UTF-8 together.

    Raises:
        UnicodeDecodeError: if they are not.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    for piece in pieces:
        decoder.decode(piece)
    decoder.decode(b"", final=True)
