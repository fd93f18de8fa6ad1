"""Unreadable pubs are refused by name."""

from __future__ import annotations

from typing import Any

import pytest

from qsession_widget.runtime.worker.outcome import RejectedError
from tests.runtime.worker.jobs import IDEAL, bell, ghz, run


@pytest.mark.parametrize(
    ("program", "pubs", "named"),
    [
        ("sampler", [[3, [], 10]], "circuit, not with 3"),
        ("sampler", [[]], "list"),
        ("sampler", ["text"], "'text'"),
        ("sampler", [[ghz(), [], 10, 5]], "one to 3"),
        ("sampler", [[ghz(), [0.5], 10]], r"\[0.5\]"),
        ("sampler", [[ghz(), [], 0]], "shots must be positive"),
        ("sampler", [[ghz(), [], -3]], "shots must be positive"),
        ("sampler", [[ghz(), [], "many"]], "shots must be an integer"),
        ("estimator", [[bell(), {"Z": 1.0}, [], 0.1]], "qubits"),
        ("estimator", [[bell(), {"ZA": 1.0}, [], 0.1]], "alphabet"),
        ("estimator", [[bell(), {"ZZ": 1.0}, [], 0]], "0.*more than 0"),
        ("estimator", [[bell(), {"ZZ": 1.0}, [], -1]], "[Pp]recision"),
        ("estimator", [[bell()]], "observable"),
    ],
)
def test_bad_pubs_are_refused_by_name(program: str, pubs: list[Any], named: str) -> None:
    with pytest.raises(RejectedError, match=named):
        run(program, IDEAL, *pubs)
