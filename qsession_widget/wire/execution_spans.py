"""Execution spans of a sampler's result: when each part of its data was taken.

They are objects of qiskit-ibm-runtime, which takes more than a second to import, and most users
never look at them. So they are created lazily.
"""

from __future__ import annotations

import json
import math
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from qsession_widget.support.official import needed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

SPANS = "ExecutionSpans"
SPAN = "DoubleSliceSpan"


class Span(NamedTuple):
    """The time span in which all data of one pub was taken.

    Attributes:
        start: in UTC.
        stop: in UTC.
        shape: of the data; the last axis is the shots.
    """

    start: datetime
    stop: datetime
    shape: tuple[int, ...]


def document(taken: Sequence[Span]) -> dict[str, Any]:
    """Return the JSON of the spans of a job's pubs, in order."""
    return _tagged(SPANS, {"spans": [_of_pub(index, span) for index, span in enumerate(taken)]})


def _of_pub(index: int, span: Span) -> dict[str, Any]:
    *extrinsic, shots = span.shape
    return _tagged(
        SPAN,
        {
            "start": _tagged("datetime", span.start.isoformat()),
            "stop": _tagged("datetime", span.stop.isoformat()),
            "data_slices": {str(index): [span.shape, 0, math.prod(extrinsic), 0, shots]},
        },
    )


class LazySpans:
    """Lazy proxy of an `ExecutionSpans` of qiskit-ibm-runtime.

    Args:
        text: the JSON text of the spans, or what returns it.
    """

    def __init__(self, text: str | Callable[[], str]) -> None:
        self._given = text

    @cached_property
    def _text(self) -> str:
        return self._given if isinstance(self._given, str) else self._given()

    @property  # type: ignore[misc] # a proxy: it cannot be set
    def __class__(self) -> type:
        """The class that `isinstance` sees."""
        return type(self._official)

    @property
    def document(self) -> dict[str, Any]:
        """The JSON of the spans."""
        found: dict[str, Any] = json.loads(self._text)
        return found

    @cached_property
    def _official(self) -> Any:
        with needed("Reading execution spans"):
            from qiskit_ibm_runtime import RuntimeDecoder

        return json.loads(self._text, cls=RuntimeDecoder)

    def __getattr__(self, name: str) -> Any:
        # Copying and pickling look up attributes before any is set.
        if name.startswith("__") or "_given" not in self.__dict__:
            raise AttributeError(name)
        return getattr(self._official, name)

    def __reduce__(self) -> tuple[Any, ...]:
        return LazySpans, (self._text,)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._official)

    def __len__(self) -> int:
        return len(self._official)

    def __getitem__(self, index: Any) -> Any:
        return self._official[index]

    def __eq__(self, other: object) -> bool:
        theirs = other._official if type(other) is LazySpans else other
        return bool(self._official == theirs)

    __hash__ = None  # type: ignore[assignment] # as the official class

    def __repr__(self) -> str:
        return f"<{SPANS} of qiskit-ibm-runtime>"


def _tagged(name: str, value: Any) -> dict[str, Any]:
    return {"__type__": name, "__value__": value}
