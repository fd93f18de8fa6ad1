"""Options that a job names and that change nothing here, so that its result can say so."""

from __future__ import annotations

from qsession_widget.wire.unheeded import names, of_executor

__all__ = ["names", "of_executor"]
