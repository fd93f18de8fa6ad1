"""JSON responses of the REST API."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.responses import JSONResponse


class JsonAnswer(JSONResponse):
    """A JSON response, encoded fast enough that a large result does not delay other requests."""

    def render(self, content: Any) -> bytes:
        """Encode the content."""
        return msgspec.json.encode(content)
