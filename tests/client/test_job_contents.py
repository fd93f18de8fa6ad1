from __future__ import annotations

from typing import Any

import pytest

from qsession_widget.client.jobs.job_contents import Contents, KnownContents, contents_of
from qsession_widget.wire.fields import ROLES, program_word


def program(role: object, circuits: object) -> dict[str, Any]:
    passed = {"post_processor": {"circuits_metadata": circuits}}
    return {"quantum_program": {"semantic_role": role, "passthrough_data": passed}}


@pytest.mark.parametrize(
    ("program_id", "params", "expected"),
    [
        ("sampler", {"pubs": [1, 2]}, Contents(2)),
        ("estimator", {"pubs": (1,)}, Contents(1)),
        ("sampler", {"pubs": "two"}, Contents()),
        ("executor", program("sampler_v2", [None, None]), Contents(2, "sampler")),
        ("executor", program("estimator-v2", [None]), Contents(1, "estimator")),
        ("executor", program("noise_learner_v3", None), Contents(None, "noise learner")),
        # Anything may be sent through this endpoint, and no view may fail on it.
        ("executor", program("of_another", [None]), Contents()),
        ("executor", program(["sampler_v2"], [None]), Contents()),
        (
            "executor",
            {"quantum_program": {"semantic_role": "sampler_v2"}},
            Contents(None, "sampler"),
        ),
        ("executor", {"quantum_program": []}, Contents()),
        ("sampler", program("estimator_v2", [None]), Contents()),
        ("noise-learner", {}, Contents()),
    ],
)
def test_the_inputs_say_what_a_job_contains(
    program_id: str, params: dict[str, Any], expected: Contents
) -> None:
    assert contents_of(program_id, params) == expected


def test_only_what_is_known_is_kept() -> None:
    known = KnownContents()
    known.note("a", Contents(3, "estimator"))
    known.note("a", Contents())
    assert known.get("a") == Contents(3, "estimator")
    assert known.get("b") == Contents()


def test_the_oldest_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qsession_widget.client.jobs.job_contents._MOST_KEPT", 2)
    known = KnownContents()
    for name in "abc":
        known.note(name, Contents(1))
    assert [known.get(name).pubs for name in "abc"] == [None, 1, 1]


def test_each_program_has_a_word() -> None:
    assert program_word("executor") == "executor"
    assert program_word("noise-learner") == "noise learner"
    assert {program_word("executor", role) for role in ROLES.values()} == {
        "sampler",
        "estimator",
        "noise learner",
    }
