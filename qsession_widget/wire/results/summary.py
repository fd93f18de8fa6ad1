"""Results in few characters: what lists show of each job beside its state.

The runtime's workers make the summary of a result while they have its arrays. Clients make it of
results that another service sent, once they have decoded them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from msgspec import UNSET

from qsession_widget.wire.documents import ResultSummaryDocument, known

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from msgspec import UnsetType

MOST_OUTCOMES = 4
LONGEST_BITS = 40
"""Wider registers have no summary."""

MOST_BYTES = 200
"""Longest JSON of a summary."""

_MOST_BITS = 128
"""Of all outcomes together."""

_MOST_DIGITS = 6
_DIGITS_WITHOUT_ERROR = 4
_SHARE_DIGITS = 4
_SHOWN_OUTCOMES = 2
_FEW = 2
_LARGE = 1e9


@dataclass(frozen=True)
class Summary:
    """A job's first value, or its most frequent outcomes.

    Attributes:
        value: the expectation value of a first pub that has one only; None otherwise.
        error: its standard error; None if there is none.
        outcomes: bits and their share of the shots, 0 to 1, the most frequent first.
    """

    value: float | None = None
    error: float | None = None
    outcomes: tuple[tuple[str, float], ...] = ()

    @classmethod
    def of(cls, document: ResultSummaryDocument | UnsetType) -> Summary | None:
        """Read the summary that a service sent with a job; None if there is none to show."""
        if document is UNSET:
            return None
        value = _finite(known(document.value))
        if value is not None:
            return cls(value, _finite(known(document.standard_error)))
        outcomes = tuple(_outcomes(document.outcomes or {}))
        return cls(outcomes=outcomes) if outcomes else None

    @property
    def document(self) -> ResultSummaryDocument:
        """What is sent of it: as many digits and outcomes as a person may read."""
        if self.value is None:
            shares = {bits: round(share, _SHARE_DIGITS) for bits, share in self.outcomes}
            return ResultSummaryDocument(outcomes=shares)
        return ResultSummaryDocument(
            value=_figures(self.value),
            standard_error=UNSET if self.error is None else _figures(self.error),
        )

    def __str__(self) -> str:
        """Return it as the panel shows it: "-1.854 ± 0.004", "0000: 49 % · 1111: 46 %"."""
        if self.value is not None:
            return _measured(self.value, self.error)
        shown = self.outcomes[:_SHOWN_OUTCOMES]
        return " \N{MIDDLE DOT} ".join(f"{bits}: {round(share * 100)} %" for bits, share in shown)


def most_outcomes(bits: int) -> int:
    """Return how many outcomes of so many bits a summary holds."""
    return min(MOST_OUTCOMES, _MOST_BITS // bits)


def _outcomes(shares: Mapping[str, float]) -> Iterator[tuple[str, float]]:
    # Those of equal shares stay in the order in which they were sent.
    for bits, share in sorted(shares.items(), key=lambda each: -each[1]):
        if 0 < len(bits) <= LONGEST_BITS and not bits.strip("01") and math.isfinite(share):
            yield bits, min(1.0, max(0.0, share))


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _figures(value: float) -> float:
    return float(f"{value:.6g}")


def _measured(value: float, error: float | None) -> str:
    """Format a value to the first digit of its error, the second if that is a 1."""
    if max(abs(value), error or 0.0) >= _LARGE:
        spread = "" if error is None else f" \N{PLUS-MINUS SIGN} {error:.2g}"
        return f"{_minus(f'{value:.6g}')}{spread}"
    if error is None or error <= 0:
        return _minus(f"{value:.{_DIGITS_WITHOUT_ERROR}f}")
    power = max(-_MOST_DIGITS, math.floor(math.log10(error)))
    digits = min(_MOST_DIGITS, max(0, (error / 10**power < _FEW) - power))
    return f"{_minus(f'{value:.{digits}f}')} \N{PLUS-MINUS SIGN} {error:.{digits}f}"


def _minus(text: str) -> str:
    return text.replace("-", "\N{MINUS SIGN}")
