"""Jobs as the JSON of the REST API."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from qsession_widget.runtime.http.serializers import job_document
from qsession_widget.runtime.model.job import Job

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def test_the_number_of_pubs_is_sent_where_known() -> None:
    def extra(pubs: int | None) -> dict[str, object]:
        job = Job("j", "o", "fake_manila", "sampler", NOON, pubs=pubs)
        document = job_document(job, queue_position=None, estimate=None)
        found: dict[str, object] = msgspec.to_builtins(document)["qsession"]
        return found

    assert extra(3)["pubs"] == 3
    assert "pubs" not in extra(None), "a job of an older release"
