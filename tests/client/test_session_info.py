"""The details of a session, and the entries of lists of sessions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import get_type_hints

from qsession_widget import SessionSummary
from qsession_widget.client.session_info import SessionDetails, details_of
from qsession_widget.wire.documents import SessionDocument, read


def test_details_have_every_key_whatever_the_service_says() -> None:
    found = details_of(
        read(SessionDocument, {"id": "s", "max_ttl": 60, "elapsed_time": 1.5, "unknown": 1})
    )
    assert set(found) == set(get_type_hints(SessionDetails))
    assert (found["id"], found["max_time"], found["usage_time"]) == ("s", 60, 1.5)
    assert (found["closed_at"], found["timestamps"]) == (None, [])


def test_an_entry_with_little_in_it() -> None:
    found = SessionSummary.from_json({"id": 7})
    assert found == SessionSummary("7", "dedicated", None, "", None, None, None, None)


def test_an_entry_with_everything() -> None:
    found = SessionSummary.from_json(
        {
            "id": "b",
            "mode": "batch",
            "backend": "ibm_x",
            "status": "completed",
            "accepting_jobs": False,
            "created": "2026-09-22T11:26:48",
            "ended": "2026-09-22T13:26:48+02:00",
            "usage": {"qpu_charge_time_seconds": 3},
            "tags": ["a"],
        }
    )
    assert (found.mode, found.backend_name, found.accepting_jobs) == ("batch", "ibm_x", False)
    assert found.created_at == datetime(2026, 9, 22, 11, 26, 48, tzinfo=UTC)
    zone = timezone(timedelta(hours=2))
    assert found.ended_at == datetime(2026, 9, 22, 13, 26, 48, tzinfo=zone)
    assert (found.usage_seconds, found.tags) == (3.0, ("a",))
