"""Annotated types that options share: `Count | None` is an optional whole number from 1 on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from qsession_widget.support import validation

MAX_SEED = 2**63 - 1

Count = Annotated[int, validation.whole(1)]
CountFromZero = Annotated[int, validation.whole(0)]
Seed = Annotated[int, validation.whole(0, MAX_SEED)]
PositiveNumber = Annotated[float, validation.number(0, above=True)]
NumberFromZero = Annotated[float, validation.number(0)]
NumberFromOne = Annotated[float, validation.number(1)]
Seconds = Annotated[int | str, validation.seconds]
Text = Annotated[str, validation.text]
Texts = Annotated[Sequence[str], validation.tags]
LogLevel = Annotated[str, validation.log_level]
