"""Documents are read tolerantly, and the local runtime sends every promised field."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from msgspec import inspect

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
    job_status,
    read,
)
from qsession_widget.wire.states import RAN_TOO_LONG, Mode, SessionState

if TYPE_CHECKING:
    from collections.abc import Iterator

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


def keys_of(kind: type[Document]) -> Iterator[tuple[str, str]]:
    """Return each field of a document with its key in the JSON."""
    return zip(kind.__struct_fields__, kind.__struct_encode_fields__, strict=True)


def left_out(document: Document) -> set[str]:
    """Return the required fields that a document, or one inside it, lacks."""
    found = set()
    for name, key in keys_of(type(document)):
        value = getattr(document, name)
        if key in document.elsewhere:
            assert value is msgspec.UNSET, "only other services send it"
        elif value is msgspec.UNSET and key not in document.sometimes:
            found.add(f"{type(document).__name__}.{name}")
        for each in value if isinstance(value, list) else [value]:
            found |= left_out(each) if isinstance(each, Document) else set()
    return found


def test_the_runtime_sends_every_required_field() -> None:
    changed = msgspec.structs.replace(SESSION, transitions=((SessionState.OPEN, NOON),))
    estimate = StartEstimate(2.0, "a guess")
    for document in (
        serializers.session_document(changed, now=NOON, rate=1.0, policy="dedicated", workers=2),
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


def kinds(kind: type[Document] = Document) -> Iterator[type[Document]]:
    for each in kind.__subclasses__():
        yield each
        yield from kinds(each)


def sample(wanted: Any) -> Any:
    """Make up a value of a type, with something in every field."""
    match wanted:
        case inspect.UnionType(types=types):
            return next(sample(each) for each in types if not isinstance(each, inspect.NoneType))
        case inspect.StructType(cls=cls, fields=fields):
            return cls(**{each.name: sample(each.type) for each in fields if each.name != "params"})
        case inspect.ListType(item_type=item):
            return [sample(item)]
        case inspect.DictType(key_type=key, value_type=value):
            return {sample(key): sample(value)}
        case inspect.Metadata(type=inner):
            return sample(inner)
        case _:
            return SAMPLES[type(wanted)]


SAMPLES: dict[type[inspect.Type], object] = {
    inspect.StrType: "text",
    inspect.IntType: 7,
    inspect.FloatType: 1.5,
    inspect.BoolType: True,
}


@pytest.mark.parametrize("kind", list(kinds()))
def test_every_document_is_read_as_it_was_sent(kind: type[Document]) -> None:
    document = sample(inspect.type_info(kind))
    sent = json.loads(msgspec.json.encode(document))
    assert read(kind, sent) == document
    assert read(kind, {**sent, "added later": {"x": [1]}}) == document


@pytest.mark.parametrize("kind", list(kinds()))
def test_a_damaged_field_costs_no_other(kind: type[Document]) -> None:
    document = sample(inspect.type_info(kind))
    sent = json.loads(msgspec.json.encode(document))
    for name, key in keys_of(kind):
        if name in {"id", "params"}:
            continue
        rest: Any = [] if isinstance(sent[key], list) else msgspec.UNSET
        for damaged in ({**sent, key: [[]]}, {**sent, key: None}):
            whole = read(kind, damaged)
            left = getattr(whole, name)
            assert left in (rest, None, msgspec.UNSET), (name, left)
            assert msgspec.structs.replace(whole, **{name: getattr(document, name)}) == document
            without = read(kind, {each: sent[each] for each in sent if each != key})
            assert getattr(without, name) is msgspec.UNSET


def test_the_details_of_a_session_are_fields_of_its_document() -> None:
    assert set(session_info._DETAILS.values()) <= set(SessionDocument.__struct_fields__)


@pytest.mark.parametrize(
    ("job", "said"),
    [
        ({"state": {"status": "Queued"}}, "QUEUED"),
        ({"state": {"status": "Running"}}, "RUNNING"),
        ({"state": {"status": "Completed"}}, "DONE"),
        ({"state": {"status": "COMPLETED"}}, "DONE"),
        ({"state": {"status": "Failed"}}, "ERROR"),
        ({"state": {"status": "Cancelled"}}, "CANCELLED"),
        ({"state": {"status": "Cancelled", "reason_code": RAN_TOO_LONG}}, "ERROR"),
        ({"state": {"status": "Cancelled", "reasonCode": RAN_TOO_LONG}}, "ERROR"),
        ({"state": {"status": "Cancelled", "reason_code": 1}}, "CANCELLED"),
        ({"state": {"status": "Cancelled"}, "status": "Cancelled - Ran too long"}, "ERROR"),
        ({"state": {"status": "Cancelled - Ran too long"}}, "ERROR"),
        ({"state": {"status": "Retiring"}, "status": "Failed"}, "ERROR"),
        ({"state": {"status": "Retiring"}, "status": "Canceled by user"}, "CANCELLED"),
        ({"state": {"status": "Retiring"}, "status": "Completed"}, "DONE"),
        ({"state": {"status": "Validating"}}, "VALIDATING"),
        ({"state": {"status": "Validating"}, "status": "Running"}, "VALIDATING"),
        ({"state": {"status": "Running"}, "status": "Completed"}, "RUNNING"),
    ],
)
def test_descriptions_of_jobs(job: dict[str, Any], said: str) -> None:
    assert job_status(read(JobDocument, {"id": "j", **job})) == said
