"""A user that was added to a runtime."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(frozen=True)
class User:
    """A user besides the administrator.

    Attributes:
        token_hash: SHA-256 of the user's token, in hexadecimal digits.
    """

    name: str
    created_at: datetime
    token_hash: str = field(repr=False)
