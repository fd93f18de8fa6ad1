"""The response of every endpoint is cut once: nothing is lost, nothing is done twice."""

from __future__ import annotations

import inspect
import os
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

from qsession_widget import (
    Batch,
    ConflictError,
    NotFoundError,
    QiskitRuntimeService,
    RuntimeJob,
    Sampler,
    Session,
    local,
)
from qsession_widget.local import process
from qsession_widget.local.admin import Administration
from qsession_widget.transport import http
from qsession_widget.transport.answers import BrokenError
from qsession_widget.transport.http import Transport
from qsession_widget.transport.pool import ConnectionPool
from qsession_widget.transport.rest import RuntimeApi
from tests.client.circuits import bell
from tests.client.cut_places import PARTS, Place, credentials, place
from tests.conftest import running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ALL_CUTS = bool(os.environ.get("QSESSION_ALL_CUTS"))
"""Whether every endpoint gets all three cuts; else endpoints that only read take turns."""

BIG = 10**7


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "_FIRST_PAUSE_SECONDS", 0.01)


@pytest.fixture
def quick(runtime: Path) -> Iterator[Place]:
    yield from place(runtime)


@pytest.fixture
def slow(slow_runtime: Path) -> Iterator[Place]:
    yield from place(slow_runtime)


def same(path: str, ask: Callable[[RuntimeApi], Any]) -> Callable[[Place, float], None]:
    """Return a check that the response is the same as without a cut."""

    def check(place: Place, part: float) -> None:
        place.cut.next(f"GET /api/v1{path}", part)
        assert ask(place.api) == ask(place.direct.api)

    return check


def of_job(path: str, ask: Callable[[RuntimeApi, str], Any]) -> Callable[[Place, float], None]:
    """Return the same check for a final job."""

    def check(place: Place, part: float) -> None:
        job_id = place.job().job_id()
        place.cut.next(f"GET /api/v1{path.replace('ID', job_id)}", part)
        assert ask(place.api, job_id) == ask(place.direct.api, job_id)

    return check


def create_session(place: Place, part: float) -> None:
    for kind in (Session, Batch):
        before = {each.id for each in place.direct.sessions(limit=None)}
        place.cut.next("POST /api/v1/sessions", part)
        session = kind(place.service, "fake_manila")
        after = {each.id for each in place.direct.sessions(limit=None)}
        assert after - before == {session.session_id}


def create_job(place: Place, part: float) -> None:
    session = place.session()
    place.cut.next("POST /api/v1/jobs", part)
    job = Sampler(session).run(bell(), shots=9)
    assert job.result()[0].data.cr.num_shots == 9
    assert [each.job_id() for each in session.jobs()] == [job.job_id()]


def ends(act: Callable[[Session], object], request: str) -> Callable[[Place, float], None]:
    def check(place: Place, part: float) -> None:
        session = place.session()
        place.cut.next(request, part)
        act(session)
        assert session.status() == "Closed"

    return check


def session(place: Place, part: float) -> None:
    session = place.session()
    place.cut.next("GET /api/v1/sessions", part)
    details = session.details()
    assert details is not None
    assert details["id"] == session.session_id
    place.cut.next("GET /api/v1/sessions", part)
    assert place.api.session_if_changed(details["id"]).body is not None


def watch(place: Place, part: float) -> None:
    session = place.session()
    sent = [Sampler(session).run(bell(), shots=1) for _ in range(2)]
    place.cut.next("GET /api/v1/qsession/watch", part)
    assert [job.job_id() for job in session.jobs()] == [job.job_id() for job in sent]


def update_tags(place: Place, part: float) -> None:
    job = place.job()
    place.cut.next("PUT", part)
    assert job.update_tags(["a", "b"]) == ["a", "b"]
    assert place.direct.job(job.job_id()).tags == ["a", "b"]


def delete_job(place: Place, part: float) -> None:
    job = place.job()
    place.cut.next("DELETE", part)
    place.service.delete_job(job.job_id())
    with pytest.raises(NotFoundError):
        place.direct.job(job.job_id())
    with pytest.raises(NotFoundError):
        place.service.delete_job(job.job_id())


def results(place: Place, part: float) -> None:
    job = place.job()
    place.service.close()
    place.service = QiskitRuntimeService("local", *credentials(place))
    # After a request for the status, as at IBM, the result is requested by itself.
    job = RuntimeJob(place.service, job.job_id())
    assert job.done()
    place.cut.next("/results", part)
    assert job.result()[0].data.cr.num_shots == 7


def cancel_job(place: Place, part: float) -> None:
    _, jobs = place.waiting()
    place.cut.next("/cancel", part)
    assert jobs[0].cancel() is True
    assert [job.status() for job in jobs] == ["CANCELLED", "QUEUED"]


def cancel_queued(place: Place, part: float) -> None:
    session, jobs = place.waiting()
    place.cut.next("/cancel_queued", part)
    assert session.cancel_queued_jobs() == [job.job_id() for job in jobs]
    assert [job.status() for job in jobs] == ["CANCELLED", "CANCELLED"]


CHECKS: dict[str, Callable[[Place, float], None]] = {
    "about": same("/qsession", lambda api: api.about()["features"]),
    "backend_status": same(
        "/backends/fake_manila/status", lambda api: api.backend_status("fake_manila")
    ),
    "backends": same("/backends", lambda api: [each["name"] for each in api.backends()]),
    "cancel_job": cancel_job,
    "cancel_queued": cancel_queued,
    "cancel_session": ends(lambda each: each.cancel(), "DELETE /api/v1/sessions"),
    "close_session": ends(lambda each: each.close(), "PATCH /api/v1/sessions"),
    "configuration": same(
        "/backends/fake_manila/configuration", lambda api: api.configuration("fake_manila")
    ),
    "create_job": create_job,
    "create_session": create_session,
    "delete_job": delete_job,
    "ids": of_job("/qsession/ids", lambda api, job: api.ids("job", job[:8])),
    "interim": of_job("/qsession/jobs/ID/interim", lambda api, job: api.interim(job).final),
    "job": of_job("/jobs/ID", lambda api, job: api.job(job).body),
    "job_with_inputs": of_job("/jobs/ID", lambda api, job: api.job_with_inputs(job)),
    "jobs": same("/jobs", lambda api: [each.document.id for each in api.jobs(limit=5).jobs]),
    "logs": of_job("/jobs/ID/logs", lambda api, job: api.logs(job)),
    "metrics": of_job("/jobs/ID/metrics", lambda api, job: api.metrics(job)["timestamps"]),
    "outcome": of_job("/qsession/jobs/ID/outcome", lambda api, job: api.outcome(job)),
    "properties": same(
        "/backends/fake_manila/properties", lambda api: api.properties("fake_manila")
    ),
    "results": results,
    "session": session,
    "session_if_changed": session,
    "short": of_job("/jobs/ID", lambda api, job: api.short(f"/jobs/{job}", BIG)),
    "short_inputs": of_job("/jobs/ID", lambda api, job: api.short_inputs(job, BIG)),
    "short_results": of_job("/jobs/ID/results", lambda api, job: api.short_results(job, BIG)),
    "update_tags": update_tags,
    "usage": same("/instances/usage", lambda api: sorted(api.usage())),
    "watch": watch,
    "workloads": same("/workloads", lambda api: api.workloads(limit=5).workloads),
}
"""By the name of the method of `RuntimeApi`."""

SLOW = {"cancel_job", "cancel_queued"}
"""Those that need queued jobs."""


def test_every_request_has_a_check() -> None:
    asked = {name for name, _ in inspect.getmembers(RuntimeApi, inspect.isfunction)}
    # Administration has a test of its own. A report that fails is followed by the next one.
    apart = {"advance_clock", "shut_down", "beat"}
    assert {name for name in asked if not name.startswith("_")} == {*CHECKS, *apart}


ACTS = {
    "cancel_session",
    "close_session",
    "create_job",
    "create_session",
    "delete_job",
    "results",
    "update_tags",
}
"""Those that change something, or read what can be read only once."""


def _cases() -> Iterator[tuple[str, float]]:
    for number, name in enumerate(sorted(CHECKS.keys() - SLOW)):
        whole = ALL_CUTS or name in ACTS
        yield from ((name, part) for part in (PARTS if whole else [PARTS[number % 3]]))


@pytest.mark.parametrize(("name", "part"), list(_cases()))
def test_a_cut_response(name: str, part: float, quick: Place) -> None:
    CHECKS[name](quick, part)
    assert quick.cut.done > 0


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("name", sorted(SLOW))
def test_a_cut_response_of_a_busy_runtime(name: str, part: float, slow: Place) -> None:
    CHECKS[name](slow, part)
    assert slow.cut.done > 0


# Administration


@pytest.fixture
def lost(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list of requests; the first response to each is lost, and the request removed."""
    send = ConnectionPool.request
    names: list[str] = []

    def losing(self: ConnectionPool, method: str, url: str, **rest: Any) -> Any:
        answer = send(self, method, url, **rest)
        name = f"{method} {url.partition('/api/v1')[2]}"
        if name in names:
            names.remove(name)
            raise BrokenError("the response is lost")
        return answer

    monkeypatch.setattr(ConnectionPool, "request", losing)
    return names


def test_administration_is_done_once_when_a_response_is_lost(
    own_runtime: Path, lost: list[str]
) -> None:
    with running(own_runtime, "--clock", "virtual", "--min-job-seconds", "60"):
        service = QiskitRuntimeService("local")
        at = Administration()
        lost.append("POST /qsession/users")
        token = at.add_user("ada")
        theirs = QiskitRuntimeService("local", token, process.endpoint().url)
        assert theirs.jobs() == []
        lost.append("DELETE /qsession/users/ada")
        at.remove_user("ada")
        with pytest.raises(NotFoundError):
            at.remove_user("ada")

        first, second = [Sampler(service.backend("fake_manila")).run(bell()) for _ in range(2)]
        lost.append(f"POST /jobs/{second.job_id()}/cancel")
        assert at.cancel_job(second.job_id()) is True
        assert at.cancel_job(second.job_id()) is False

        before = datetime.fromisoformat(local.advance_clock(1)["now"])
        lost.append("POST /qsession/clock")
        now = datetime.fromisoformat(local.advance_clock(100)["now"])
        assert (now - before).total_seconds() == 100
        lost.append("POST /qsession/clock")
        last = datetime.fromisoformat(service.api.advance_clock(5, key="k"))
        assert (last - now).total_seconds() == 5
        first.wait_for_final_state()
        lost.append("POST /qsession/gc")
        assert at.collect_garbage(retention_days=0)["jobs"] == 2
        assert at.collect_garbage(retention_days=0)["jobs"] == 0

        lost.append("POST /qsession/shutdown")
        assert local.stop() is True
        assert lost == []
        assert local.stop() is False
        service.close()
        theirs.close()


def test_an_idempotency_key_is_for_one_request(slow: Place) -> None:
    """Also while that request runs, and whatever other request has the key."""
    first, _ = slow.waiting()
    api = slow.direct.api
    ids = api.cancel_queued(str(first.session_id), key="k")
    assert len(ids) == 2
    other = slow.session()
    with pytest.raises(ConflictError, match="Idempotency-Key 'k' was used for"):
        api.cancel_queued(str(other.session_id), key="k")
    assert api.cancel_queued(str(first.session_id), key="k") == ids


# Responses to another request


def test_a_response_to_another_request_is_rejected(quick: Place) -> None:
    """As on a socket that two processes share."""
    mine, other = quick.job(), quick.job()
    transport = quick.api.transport
    ask = Transport._once
    swapped: list[str] = []

    def once(self: Transport, endpoint: Any, call: Any) -> Any:
        if self is transport and mine.job_id() in call.path and not swapped:
            swapped.append(call.path)
            answer = ask(self, endpoint, _instead(call, mine, other))
            self._check_whose(call, answer)
            return answer
        return ask(self, endpoint, call)

    for question in (
        lambda: quick.api.job(mine.job_id()).body,
        lambda: quick.api.results(mine.job_id()),
        lambda: quick.api.metrics(mine.job_id()),
        lambda: quick.api.outcome(mine.job_id()),
    ):
        expected = question()
        swapped.clear()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Transport, "_once", once)
            assert question() == expected
        assert swapped


def _instead(call: Any, mine: RuntimeJob, other: RuntimeJob) -> Any:
    from dataclasses import replace  # noqa: PLC0415 - used only here

    return replace(call, path=call.path.replace(mine.job_id(), other.job_id()))
