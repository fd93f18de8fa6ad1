from __future__ import annotations

import pytest

from qsession_widget.runtime.http import unsupported
from qsession_widget.runtime.http.errors import Problem


@pytest.mark.parametrize("level", [None, "DEBUG", "debug", "Critical"])
def test_log_levels_are_accepted_in_any_case(level: str | None) -> None:
    unsupported.check({"log_level": level, "private": True})


@pytest.mark.parametrize(
    "body", [{"log_level": "LOUD"}, {"private": "yes"}, {"session_time": 60}, {"start_session": 1}]
)
def test_unsupported_features_are_refused_by_name(body: dict[str, object]) -> None:
    with pytest.raises(Problem, match=next(iter(body))) as refused:
        unsupported.check(body)
    assert refused.value.status == 400
    assert refused.value.solution
