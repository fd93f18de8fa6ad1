"""The service's data on sessions and batches: details of one, and entries of a list."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypedDict, cast

from msgspec import to_builtins

from qsession_widget.wire.documents import (
    UsageDocument,
    WorkloadDocument,
    WorkloadExtrasDocument,
    known,
    read,
)
from qsession_widget.wire.state_words import state_word
from qsession_widget.wire.states import Mode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from msgspec import UnsetType

    from qsession_widget.wire.documents import CacheDocument, SessionDocument

_DETAILS = {
    "id": "id",
    "backend_name": "backend_name",
    "interactive_timeout": "interactive_ttl",
    "max_time": "max_ttl",
    "active_timeout": "active_ttl",
    "state": "state",
    "accepting_jobs": "accepting_jobs",
    "last_job_started": "last_job_started",
    "last_job_completed": "last_job_completed",
    "started_at": "started_at",
    "closed_at": "closed_at",
    "activated_at": "activated_at",
    "mode": "mode",
    "usage_time": "elapsed_time",
}
"""Each key of `details()`, and its field of `SessionDocument`."""


class Change(TypedDict):
    """A change of a session's state, and its time (RFC 3339, in UTC)."""

    status: str
    timestamp: str


class SessionDetails(TypedDict):
    """The dict of `Session.details()`, which describes each key."""

    id: str
    backend_name: str | None
    interactive_timeout: int | None
    max_time: int | None
    active_timeout: int | None
    state: str
    accepting_jobs: bool
    last_job_started: str | None
    last_job_completed: str | None
    started_at: str | None
    closed_at: str | None
    activated_at: str | None
    mode: str
    usage_time: float | None
    timestamps: list[Change]


class CacheInfo(TypedDict):
    """The dict of `Session.cache_info()`, which describes each key."""

    hits: int
    misses: int
    seconds_saved: float


def details_of(session: SessionDocument) -> SessionDetails:
    """Return the dict of `Session.details()`."""
    values = {key: known(getattr(session, field)) for key, field in _DETAILS.items()}
    timestamps = [to_builtins(each) for each in session.timestamps or []]
    return cast("SessionDetails", {**values, "timestamps": timestamps})


def cache_info_of(cache: CacheDocument) -> CacheInfo:
    """Return the dict of `Session.cache_info()`."""
    return {
        "hits": cache.hits or 0,
        "misses": cache.misses or 0,
        "seconds_saved": cache.seconds_saved or 0.0,
    }


@dataclass(frozen=True)
class SessionSummary:
    """An entry of GET /workloads: a session or batch. `Session.from_id(id)` returns the session.

    Attributes:
        id: its id.
        mode: "dedicated" for a session, "batch" for a batch.
        backend_name: its backend; None if the service does not say.
        status: "pending", "in_progress", "completed", "canceled" or "failed".
        accepting_jobs: whether it accepts jobs; None if the service does not say.
        created_at: when it was opened, in UTC.
        ended_at: when it ended, in UTC; None until then.
        usage_seconds: its usage so far, in seconds; None if the service does not say.
        tags: its tags.
        name: its name, where the service keeps one.
        state: the word for its state that panels show; None if the service does not say.
    """

    id: str
    mode: str
    backend_name: str | None
    status: str
    accepting_jobs: bool | None
    created_at: datetime | None
    ended_at: datetime | None
    usage_seconds: float | None
    tags: tuple[str, ...] = ()
    name: str | None = None
    state: str | None = None

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> SessionSummary:
        """Parse an entry of GET /workloads.

        Raises:
            CodecError: if it has no id.
        """
        return cls.of(read(WorkloadDocument, found))

    @classmethod
    def of(cls, document: WorkloadDocument) -> SessionSummary:
        """Return the summary of an entry of GET /workloads."""
        extras = document.qsession or WorkloadExtrasDocument()
        state = known(extras.state)
        return cls(
            id=document.id,
            name=known(extras.name),
            state=None
            if state is None
            else state_word(
                state,
                accepting_jobs=known(document.accepting_jobs),
                mode=document.mode or None,
                busy=not extras.idle,
            ),
            mode=Mode.BATCH.value if document.mode == Mode.BATCH else Mode.DEDICATED.value,
            backend_name=document.backend or None,
            status=document.status or "",
            accepting_jobs=known(document.accepting_jobs),
            created_at=_time(document.created),
            ended_at=_time(document.ended),
            usage_seconds=known((document.usage or UsageDocument()).qpu_charge_time_seconds),
            tags=tuple(document.tags or ()),
        )


def _time(text: str | UnsetType | None) -> datetime | None:
    if not text:
        return None
    when = datetime.fromisoformat(text)
    return when if when.tzinfo else when.replace(tzinfo=UTC)
