"""Decodes results and inputs from the texts that a service sends."""

from __future__ import annotations

import json
from typing import Any, Protocol

from qsession_widget.support.official import needed
from qsession_widget.wire import codec

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
    return decode(text) if result is text else result
