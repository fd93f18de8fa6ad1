"""The answers of the REST API that are JSON."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.responses import JSONResponse


class JsonAnswer(JSONResponse):
    """A value as JSON, written fast enough that a large result holds nobody else up."""

    def render(self, content: Any) -> bytes:
        """Write the value."""
        return msgspec.json.encode(content)
