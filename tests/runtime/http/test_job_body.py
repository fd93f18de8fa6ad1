"""A large body is read in a process of its own, with the same outcome, and within limits."""

from __future__ import annotations

import json
import sys
from typing import Any

import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qsession_widget.runtime.http import job_body
from tests.runtime.http.test_parsing import VALUES

MANY = 700_000
EXPANDING = {
    "pubs": b'{"params": {"pubs": [%s0]}}' % (b"[]," * MANY * 5),
    "circuits": b'{"params": {"circuits": [%s0]}}' % (b"0," * MANY * 5),
    "members": b'{"params": {}%s}' % b"".join(b',"%d":0' % each for each in range(MANY)),
}
"""Bodies that take many times their size in memory."""


@given(st.dictionaries(st.text(), VALUES, max_size=4), st.dictionaries(st.text(), VALUES))
@settings(max_examples=5)
def test_a_body_is_read_alike_in_a_process_of_its_own(
    params: dict[str, Any], rest: dict[str, Any]
) -> None:
    raw = json.dumps({**rest, "program_id": "sampler", "params": params}).encode()
    assert job_body.read_elsewhere(raw, 5) == job_body.read(raw, 5)


@pytest.mark.parametrize(
    "raw", [b"", b"{", b"[]", b'{"params": 3}', b'{"params": {"pubs": [1, 2]}}']
)
def test_a_body_is_refused_alike_in_a_process_of_its_own(raw: bytes) -> None:
    said = []
    for read_body in (job_body.read, job_body.read_elsewhere):
        with pytest.raises(job_body.RefusedError) as caught:
            read_body(raw, 1)
        said.append(caught.value.args)
    assert said[0] == said[1]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits a process's data")
@pytest.mark.parametrize("name", EXPANDING)
def test_a_body_that_expands_is_read_in_another_process_with_limits(
    name: str,
) -> None:
    body = EXPANDING[name]
    before = psutil.Process().memory_info().rss
    with pytest.raises(job_body.RefusedError) as caught:
        job_body.read_elsewhere(body, 1_000)
    said = caught.value.message
    assert "too much memory or time" in said or "takes 1000" in said or "beside params" in said
    assert psutil.Process().memory_info().rss < before + len(body)
