"""Documents are read tolerantly, and the local runtime sends every promised field."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from qsession_widget.client import session_info
from qsession_widget.errors import CodecError
from qsession_widget.runtime.http import serializers
from qsession_widget.runtime.model.job import Job
from qsession_widget.runtime.model.lifecycle import Session
from qsession_widget.runtime.scheduling.estimates import StartEstimate
from qsession_widget.wire.documents import (
    Document,
    JobDocument,
    JobExtrasDocument,
    SessionDocument,
    TransitionDocument,
    read,
)
from qsession_widget.wire.states import Mode, SessionState

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
SESSION = Session("s", "o", "fake_manila", Mode.DEDICATED, 600, 60, 600, 300, NOON)
JOB = Job("j", "o", "fake_manila", "sampler", NOON)


def test_unknown_fields_are_ignored_and_missing_ones_unset() -> None:
    found = read(JobDocument, {"id": "j", "state": {"status": "Pondering"}, "new": {"x": 1}})
    assert found.state
    assert found.state.status == "Pondering", "an unknown state"
    assert found.qsession is msgspec.UNSET


@pytest.mark.parametrize("damaged", [None, 5, "text", [1], {"status": None}])
def test_an_unreadable_field_counts_as_missing(damaged: object) -> None:
    found = read(
        JobDocument, {"id": "j", "backend": "b", "state": damaged, "tags": damaged, "program": 3}
    )
    assert (found.id, found.backend, found.program) == ("j", "b", msgspec.UNSET)
    assert not (found.state and found.state.status)
    extras = read(JobExtrasDocument, {"stages": damaged, "pubs": damaged, "attempts": 2})
    assert extras.attempts == 2


def test_numbers_are_accepted_as_text() -> None:
    assert read(JobDocument, {"id": 7, "tags": [1, "x"]}).tags == ["1", "x"]
    assert read(JobDocument, {"id": 7}).id == "7"


def test_damaged_items_of_a_list_are_left_out() -> None:
    open_ = {"status": "open", "timestamp": "2026-11-22T12:00:00Z"}
    found = read(SessionDocument, {"id": "s", "timestamps": [open_, 5, {"status": 1}]})
    assert found.timestamps == [
        TransitionDocument(status="open", timestamp="2026-11-22T12:00:00Z"),
        TransitionDocument(status="1"),
    ]


@pytest.mark.parametrize("found", [{}, {"id": None}, {"id": [], "backend": "b"}, [], None])
def test_a_document_without_an_id_is_an_error(found: Any) -> None:
    with pytest.raises(CodecError):
        read(JobDocument, found)


def left_out(document: Document) -> set[str]:
    """Return the required fields that a document, or one inside it, lacks."""
    found = set()
    for name in document.__struct_fields__:
        value = getattr(document, name)
        if value is msgspec.UNSET and name not in document.sometimes:
            found.add(f"{type(document).__name__}.{name}")
        for each in value if isinstance(value, list) else [value]:
            found |= left_out(each) if isinstance(each, Document) else set()
    return found


def test_the_runtime_sends_every_required_field() -> None:
    changed = msgspec.structs.replace(SESSION, transitions=((SessionState.OPEN, NOON),))
    estimate = StartEstimate(2.0, "a guess")
    for document in (
        serializers.session_document(changed, now=NOON, rate=1.0, policy="dedicated"),
        serializers.job_document(JOB, queue_position=1, estimate=estimate),
        serializers.metrics_document(JOB, queue_position=None),
    ):
        assert left_out(document) == set()


def test_keys_are_sent_in_the_order_of_the_fields() -> None:
    sent = msgspec.json.encode(serializers.job_document(JOB, queue_position=None, estimate=None))
    assert list(json.loads(sent)) == [
        *("id", "backend", "program", "created", "state", "status", "user_id", "tags", "usage"),
        "qsession",
    ]


def test_what_the_runtime_sends_is_read_unchanged() -> None:
    session = serializers.session_document(SESSION, now=NOON, rate=1.0, policy="shared")
    job = serializers.job_document(JOB, queue_position=1, estimate=None)
    for document in (session, job):
        assert read(type(document), msgspec.to_builtins(document)) == document


def test_the_details_of_a_session_are_fields_of_its_document() -> None:
    assert set(session_info._DETAILS.values()) <= set(SessionDocument.__struct_fields__)
