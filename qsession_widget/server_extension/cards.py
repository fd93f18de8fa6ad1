"""What the server tells a page of a session, with the names of `js/src/lab/server.ts`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qsession_widget.monitoring.deadlines import Evidence
from qsession_widget.monitoring.job_row import JobRow, parse_time, seconds_of
from qsession_widget.monitoring.redaction import without_secrets
from qsession_widget.wire.documents import SessionExtrasDocument, known
from qsession_widget.wire.states import session_status

if TYPE_CHECKING:
    from datetime import datetime

    from qsession_widget.wire.documents import JobDocument, SessionDocument

Json = dict[str, Any]


def runtime(now: str, rate: float) -> Json:
    """Return the runtime's clock: its kind, its time in epoch ms, and how fast it runs."""
    kinds = {0.0: "virtual", 1.0: "real"}
    return {"clock": kinds.get(rate, "scaled"), "rate": rate, "now": _ms(parse_time(now))}


def card(session: SessionDocument, finished: int) -> Json:
    """Return a session: its state, the counts of its jobs, and its deadlines in epoch ms.

    Args:
        session: as the runtime sends it.
        finished: how many of its jobs have ended.
    """
    extras = session.qsession or SessionExtrasDocument()
    queued, running = known(extras.queued) or 0, known(extras.running) or 0
    created_at = parse_time(extras.created_at)
    evidence = Evidence(session, queued, running, created_at, seconds_of(extras.first_job_ttl))
    return {
        "session_id": session.id,
        "name": _text(extras.name or None),
        "place": _text(extras.place or None),
        "backend_name": known(session.backend_name),
        "mode": known(session.mode),
        # Simulators have no sessions.
        "simulator": False,
        "state": known(session.state),
        "accepting_jobs": known(session.accepting_jobs),
        "status": session_status(session.state or "", accepting_jobs=bool(session.accepting_jobs)),
        "queued": queued,
        "running": running,
        "finished": finished,
        "usage_seconds": known(session.elapsed_time),
        "countdowns": [
            {
                "kind": each.kind,
                "label": each.label,
                "ends": _ms(each.ends_at),
                "total": round(each.seconds * 1000),
            }
            for each in evidence.countdowns()
        ],
        "kernel": extras.kernel or "unknown",
        "created": _ms(created_at),
    }


def job_line(document: JobDocument) -> Json:
    """Return a job: times in epoch ms, `ran` in ms, and its result in few characters.

    The last two are None where there are none, as before its end.
    """
    row = JobRow.of(document)
    ended = row.started_at is not None and row.ended_at is not None
    return {
        "id": row.id,
        "program": row.program,
        "state": row.state.lower(),
        "created": _ms(row.created_at),
        "ran": _ms(row.ended_at) - _ms(row.started_at) if ended else None,
        "result": None if row.summary is None else str(row.summary),
    }


def _text(text: str | None) -> str | None:
    return None if text is None else without_secrets(text)


def _ms(when: datetime | None) -> int:
    return 0 if when is None else round(when.timestamp() * 1000)
