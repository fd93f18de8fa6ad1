"""Records the requests that are really sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qsession_widget.transport.http import Transport

if TYPE_CHECKING:
    import pytest


def requests_seen(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, dict[str, Any]]]:
    """Return a list to which every later request adds method, path and arguments."""
    seen: list[tuple[str, str, dict[str, Any]]] = []
    send = Transport.request

    def noted(self: Transport, method: str, path: str, **rest: Any) -> Any:
        seen.append((method, path, rest))
        return send(self, method, path, **rest)

    monkeypatch.setattr(Transport, "request", noted)
    return seen
