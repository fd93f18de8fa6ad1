"""Coalesces wake-ups of the scheduling loop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class WakeUp:
    """Coalesces wake-ups of the scheduling loop: one look after all changes of a turn.

    Args:
        look: called once for all requests until then, in the next turn of the event loop.
    """

    def __init__(self, look: Callable[[], None]) -> None:
        self.requested = False
        self._look = look

    def request(self) -> None:
        """Call `look` soon."""
        if not self.requested:
            self.requested = True
            asyncio.get_running_loop().call_soon(self._answer)

    def _answer(self) -> None:
        self.requested = False
        self._look()
