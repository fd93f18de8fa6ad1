"""The local runtime's process: found, started, stopped, and reached by IBM's client."""

from __future__ import annotations

from qsession_widget.local.process import (
    advance_clock,
    connection,
    endpoint,
    official_service,
    status,
    stop,
)

__all__ = ["advance_clock", "connection", "endpoint", "official_service", "status", "stop"]
