"""Decoding results: of our programs, of others, and with a custom decoder."""

from __future__ import annotations

from typing import Any

import pytest

from qsession_widget.client.jobs.result_decoder import decode, decode_result


class Upper:
    def decode(self, text: str) -> str:
        return text.upper()


@pytest.mark.parametrize("decoder", [Upper, Upper()])
def test_a_decoder_is_a_class_or_an_object(decoder: Any) -> None:
    assert decode_result('"a"', "sampler", decoder) == '"A"'


@pytest.mark.parametrize("program", ["sampler", "a-program-that-is-not-known"])
def test_the_default_decoder_is_the_codecs(program: str) -> None:
    assert decode_result('{"a": [1, null]}', program) == {"a": [1, None]}


def test_types_that_only_ibm_has_are_decoded_by_its_package() -> None:
    from qiskit_ibm_runtime.execution_span import ExecutionSpans  # noqa: PLC0415 - slow

    assert isinstance(
        decode('{"__type__": "ExecutionSpans", "__value__": {"spans": []}}'), ExecutionSpans
    )
