from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qsession_widget.wire.fields import MAX_WAIT_SECONDS, wait_preference


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, 0),
        ("", 0),
        ("wait=5", 5),
        ("wait=2.5", 2.5),
        ("Wait = 5", 5),
        ("respond-async, wait=5", 5),
        ("wait=5, wait=10", 5),
        ("wait=100", MAX_WAIT_SECONDS),
        ("wait=inf", MAX_WAIT_SECONDS),
        ("wait=-1", 0),
        ("wait=soon", 0),
        ("wait", 0),
        ("waiting=5", 0),
    ],
)
def test_reads_a_preference(header: str | None, seconds: float) -> None:
    assert wait_preference(header) == seconds


@given(st.text())
def test_never_fails_and_never_waits_too_long(header: str) -> None:
    assert 0 <= wait_preference(header) <= MAX_WAIT_SECONDS
    assert 0 <= wait_preference(f"wait={header}") <= MAX_WAIT_SECONDS
