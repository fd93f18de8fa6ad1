"""Decodes results and inputs from the texts that a service sends."""

from __future__ import annotations

import json
import math
from typing import Any, Protocol

from qiskit.primitives import BitArray, PrimitiveResult

from qsession_widget.support.official import needed
from qsession_widget.wire import codec
from qsession_widget.wire.execution_spans import LazySpans, Span, document
from qsession_widget.wire.fields import EXECUTOR

_OWN_PROGRAMS = ("sampler", "estimator")
"""Programs whose results our own codec decodes."""


class ResultDecoder(Protocol):
    """A class or object with this method may be given as `result_decoder`."""

    def decode(self, text: str) -> Any:
        """Return the result for the text of GET /jobs/{id}/results."""


def decode(text: str) -> Any:
    """Decode a text from the wire; with qiskit-ibm-runtime if it has types that only IBM has."""
    try:
        return codec.loads(text)
    except codec.UnknownTypeError:
        # IBM's results may hold types that only its package has, such as execution spans.
        with needed("A result with types of IBM"):
            from qiskit_ibm_runtime import RuntimeDecoder

        return json.loads(text, cls=RuntimeDecoder)


def decode_result(
    text: str, program_id: str, decoder: type[ResultDecoder] | ResultDecoder | None = None
) -> Any:
    """Decode the result of a program.

    Args:
        text: the text.
        program_id: the program, for example "sampler".
        decoder: class or object with `decode(text)`; None takes the program's own.
    """
    if decoder is not None:
        return (decoder() if isinstance(decoder, type) else decoder).decode(text)
    return decode(text) if program_id in _OWN_PROGRAMS else _officially(text, program_id)


def _officially(text: str, program_id: str) -> Any:
    """Decode results of other programs like qiskit-ibm-runtime."""
    with needed(f"The result of {program_id!r}"):
        from qiskit_ibm_runtime.decoders.defaults import DEFAULT_DECODERS

    result: Any = text
    for each in DEFAULT_DECODERS.get(program_id, ()):
        if each.is_applicable(result):
            result = each.decode(result)
    if program_id == EXECUTOR and isinstance(result, PrimitiveResult):
        _add_spans(result)
    return decode(text) if result is text else result


def _add_spans(result: PrimitiveResult[Any]) -> None:
    """Add a Sampler's execution spans, where its own program returns them.

    A service that divides a pub among several time spans says only how large each part is: the
    times are then in `metadata["executor"].chunk_timing` alone.
    """
    timing = getattr(result.metadata.get("executor"), "chunk_timing", None) or ()
    found = {part.idx_item: (chunk, part.size) for chunk in timing for part in chunk.parts}
    spans = []
    for index, pub in enumerate(result):
        arrays = [each for each in pub.data.values() if isinstance(each, BitArray)]
        randomizations = pub.metadata.get("num_randomizations", 1)
        chunk, size = found.get(index, (None, 0))
        if chunk is None or not arrays or size != math.prod(pub.data.shape) * randomizations:
            return
        spans.append(Span(chunk.start, chunk.stop, (*pub.data.shape, arrays[0].num_shots)))
    text = json.dumps(document(spans))
    result.metadata["execution"] = {"execution_spans": LazySpans(text)}
