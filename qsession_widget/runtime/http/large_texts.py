"""Sends large payloads and results in parts, few of one user at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qsession_widget.runtime.http import errors
from qsession_widget.runtime.http.large_bodies import LargeBodies
from qsession_widget.runtime.http.responses import LongAnswer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from starlette.responses import Response


class LargeTexts:
    """The large texts that are being sent."""

    def __init__(self) -> None:
        self._sending = LargeBodies()

    async def answer(
        self,
        owner: str,
        read: Callable[[], Awaitable[Sequence[bytes | memoryview] | None]],
        **more: Any,
    ) -> Response:
        """Return a response with a large text, once the user has room for one more.

        Args:
            owner: the user.
            read: reads the text in pieces.
            more: as for `LongAnswer`.

        Raises:
            Problem: if the text was removed while the request waited.
        """
        places = self._sending.of(owner)
        await places.acquire()
        pieces: Sequence[bytes | memoryview] | None = None
        try:
            pieces = await read()
        finally:
            if pieces is None:
                places.release()
        if pieces is None:
            raise errors.store_unavailable("it was removed while the request waited")
        return LongAnswer(pieces, places.release, **more)
