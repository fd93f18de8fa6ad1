"""The process of the local runtime: finding, starting and stopping it, and IBM's client for it."""

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
