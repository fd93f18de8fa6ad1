"""Execution spans are objects of qiskit-ibm-runtime, created on access."""

from __future__ import annotations

import copy
import json
import pickle
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from qiskit_ibm_runtime import RuntimeDecoder
from qiskit_ibm_runtime.execution_span import DoubleSliceSpan, ExecutionSpans

from qsession_widget.wire import codec, execution_spans
from qsession_widget.wire.execution_spans import Span

START = datetime(2026, 11, 27, 7, tzinfo=UTC)
STOP = START + timedelta(seconds=1.5)
DOCUMENT = execution_spans.document([Span(START, STOP, (3, 2, 100)), Span(STOP, STOP, (50,))])
OFFICIAL = ExecutionSpans(
    [
        DoubleSliceSpan(START, STOP, {0: ((3, 2, 100), slice(0, 6), slice(0, 100))}),
        DoubleSliceSpan(STOP, STOP, {1: ((50,), slice(0, 1), slice(0, 50))}),
    ]
)


def test_the_official_client_reads_them() -> None:
    assert json.loads(json.dumps(DOCUMENT), cls=RuntimeDecoder) == OFFICIAL


def test_our_client_gives_the_official_objects() -> None:
    found = codec.loads(codec.dumps({"spans": DOCUMENT}))["spans"]
    assert isinstance(found, ExecutionSpans)
    assert found == OFFICIAL
    assert list(found) == list(OFFICIAL)
    assert (len(found), found.duration, found.pub_idxs) == (2, 1.5, [0, 1])
    assert found[0].mask(0).all()
    assert found.filter_by_pub(1)[1].size == 50
    with pytest.raises(AttributeError):
        _ = found.nothing
    pickled = pickle.loads(pickle.dumps(found))  # noqa: S301 - our own
    for again in (copy.copy(found), copy.deepcopy(found), pickled):
        assert again == found
    assert codec.loads(codec.dumps(found)) == OFFICIAL


def test_an_unread_result_costs_no_import() -> None:
    code = (
        "import copy, sys\n"
        "from qsession_widget.wire import codec\n"
        "found = codec.loads(sys.stdin.read())\n"
        "copy.deepcopy(found), repr(found)\n"
        "assert 'qiskit_ibm_runtime' not in sys.modules\n"
    )
    text = codec.dumps({"spans": DOCUMENT})
    subprocess.run(  # noqa: S603 - our own
        [sys.executable, "-c", code], input=text, text=True, check=True
    )
