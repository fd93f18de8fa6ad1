"""Several instances of one account: a front that divides a real runtime's devices among them."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
import requests
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from qsession_widget import (
    BackendNotFoundError,
    Batch,
    InvalidInputError,
    NotFoundError,
    PlanError,
    QiskitRuntimeService,
    Sampler,
    ServiceError,
    Session,
)
from qsession_widget.client.session import find_session
from qsession_widget.local import process
from tests.client.circuits import bell
from tests.client.spy import requests_seen
from tests.client.throwaway import serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from starlette.requests import Request

PREFIX = "/experimental/api/v1"


def crn(name: str) -> str:
    return f"crn:v1:bluemix:public:quantum-computing:us-east:a/1:{name}::"


@dataclass
class Front:
    """IBM Cloud with three instances: a free one, a paid one, and one that is gone."""

    runtime: str
    token: str
    has: dict[str, list[str]] = field(
        default_factory=lambda: {
            crn("paid"): ["fake_manila", "fake_torino"],
            crn("free"): ["fake_manila"],
        }
    )
    made: dict[str, str] = field(default_factory=dict)
    """The instance of each job and session, by id."""
    without_sessions: list[str] = field(default_factory=list)
    """Instances whose plan has no sessions."""

    @property
    def app(self) -> Starlette:
        methods = ["GET", "POST", "PUT", "PATCH", "DELETE"]
        return Starlette(
            routes=[
                Route("/v3/resources/search", self.search, methods=["POST"]),
                Route("/catalog/{plan}", self.plan),
                Route("/identity/token", self.passed_on, methods=["POST"]),
                Route(f"{PREFIX}/{{path:path}}", self.api, methods=methods),
            ]
        )

    async def search(self, _: Request) -> Response:
        items = [
            {
                "crn": crn(name),
                "name": name,
                "service_plan_unique_id": plan,
                "doc": {"extensions": [{}]},
            }
            for name, plan in (("gone", "open"), ("paid", "premium"), ("free", "open"))
        ]
        return JSONResponse({"items": items})

    async def plan(self, request: Request) -> Response:
        plan = request.path_params["plan"]
        pricing = {"metadata": {"pricing": {"type": "free" if plan == "open" else "paid"}}}
        return JSONResponse({"overview_ui": {"en": {"display_name": plan}}, **pricing})

    async def api(self, request: Request) -> Response:  # noqa: PLR0911 - one for each refusal
        instance, path = request.headers["service-crn"], request.path_params["path"].split("/")
        if instance not in self.has:
            return JSONResponse({"errors": [{"code": 1217, "message": "no such instance"}]}, 403)
        hidden = path[0] == "backends" and len(path) > 1 and path[1] not in self.has[instance]
        known = len(path) > 1 and path[1] in self.made
        if hidden or (known and self.made[path[1]] != instance):
            return JSONResponse({"errors": [{"code": 1291, "message": f"not here: {path}"}]}, 404)
        dedicated = path == ["sessions"] and b'"dedicated"' in await request.body()
        if instance in self.without_sessions and dedicated:
            return JSONResponse({"errors": [{"code": 1352, "message": "the open plan"}]}, 400)
        answer = await self.passed_on(request)
        if answer.status_code >= 300 or not answer.body:
            return answer
        if path == ["backends"]:
            devices = json.loads(bytes(answer.body))["devices"]
            own = [each for each in devices if each["name"] in self.has[instance]]
            return JSONResponse({"devices": own})
        for what in ("jobs", "workloads"):
            if path == [what] and request.method == "GET":
                found = json.loads(bytes(answer.body))
                found[what] = [each for each in found[what] if self.made[each["id"]] == instance]
                return JSONResponse(found)
        if request.method == "POST" and path in (["jobs"], ["sessions"]):
            self.made[json.loads(bytes(answer.body))["id"]] = instance
        return answer

    async def passed_on(self, request: Request) -> Response:
        path = request.url.path.removeprefix(PREFIX)
        base = self.runtime + ("/api/v1" if path != request.url.path else "")
        kept = ("authorization", "content-type", "prefer", "if-none-match")
        answer = await asyncio.to_thread(
            requests.request,
            request.method,
            base + path,
            params=request.url.query,
            data=await request.body(),
            headers={name: request.headers[name] for name in kept if name in request.headers},
            timeout=60,
        )
        return Response(
            answer.content,
            answer.status_code,
            {"Content-Type": answer.headers.get("Content-Type", "text/plain")},
        )


@pytest.fixture
def front(own_runtime: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Front, str]]:
    found = process.endpoint(folder=own_runtime)
    made = Front(found.url, found.token)
    with serving(made.app) as root:
        monkeypatch.setenv("IAM_URL", root)
        monkeypatch.setenv("GLOBAL_SEARCH_URL", root)
        monkeypatch.setenv("GLOBAL_CATALOG_URL", f"{root}/catalog")
        yield made, root + PREFIX


def test_devices_of_every_instance_are_found_where_none_is_named(front: tuple[Front, str]) -> None:
    cloud, url = front
    with QiskitRuntimeService("ibm_cloud", cloud.token, url) as service:
        # Free plans come first, and a removed instance does no harm.
        assert service.active_instance() == crn("gone")
        devices = {each.name: each.service.active_instance() for each in service.backends()}
        assert devices == {"fake_manila": crn("free"), "fake_torino": crn("paid")}
        assert service.backend("fake_torino").service.active_instance() == crn("paid")
        assert service.backend("fake_manila", "paid").service.active_instance() == crn("paid")
        assert [each.name for each in service.backends(instance="free")] == ["fake_manila"]
        assert service.least_busy(min_num_qubits=100).name == "fake_torino"
        with pytest.raises(
            BackendNotFoundError, match=r"mean 'fake_torino'\? There are fake_manila, fake_torino"
        ):
            service.backend("fake_torrino")
        with pytest.raises(BackendNotFoundError, match=r"There are fake_manila$"):
            service.backend("fake_torino", instance=crn("free"))
        with pytest.raises(InvalidInputError, match=r"instance='mine'.*free \(open\)"):
            service.backends(instance="mine")
        with pytest.raises(ServiceError, match="no such instance"):
            service.backends(instance=crn("gone"))


def test_jobs_and_sessions_stay_in_their_instance_and_are_found_there(
    front: tuple[Front, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud, url = front
    with QiskitRuntimeService("ibm_cloud", cloud.token, url) as service:
        with Session(service, "fake_torino") as session:
            # Other requests in between do not switch the instance.
            service.backend("fake_manila")
            job = Sampler(mode=session).run(bell(), shots=10)
            with pytest.raises(InvalidInputError, match=r"'crn.*free::', and this .*'crn.*paid::'"):
                session.run("sampler", {}, {"instance": crn("free")})
            assert job.result()[0].data.cr.num_shots == 10
        assert session.service.active_instance() == crn("paid")
        with Batch(service, "fake_manila") as batch:
            other = Sampler(mode=batch).run(bell(), shots=10)
            other.result()
        assert cloud.made[str(session.session_id)] == cloud.made[job.job_id()] == crn("paid")
        assert cloud.made[str(batch.session_id)] == cloud.made[other.job_id()] == crn("free")
        direct = service.run("sampler", {"pubs": []}, {"backend": "fake_torino"})
        assert cloud.made[direct.job_id()] == crn("paid")
        named = service.run("sampler", {"pubs": []}, {"backend": "fake_manila", "instance": "paid"})
        assert cloud.made[named.job_id()] == crn("paid")

        # A new connection finds everything again.
        seen = requests_seen(monkeypatch)
        again = QiskitRuntimeService("ibm_cloud", cloud.token, url, "auto")
        sent = [job.job_id(), other.job_id(), direct.job_id(), named.job_id()]
        listed = [each.job_id() for each in again.jobs()]
        assert listed == sent[::-1]
        assert [each.job_id() for each in again.jobs(2, 1, descending=False)] == sent[1:3]
        assert [each.job_id() for each in again.jobs(instance="free")] == [other.job_id()]
        assert [each.id for each in again.sessions()] == [batch.session_id, session.session_id]
        assert again.job(job.job_id()).result()[0].data.cr == job.result()[0].data.cr
        assert isinstance(find_session(str(batch.session_id), again), Batch)
        found = Session.from_id(str(session.session_id), again)
        assert (found.backend(), found.status()) == ("fake_torino", "Closed")
        assert [each.job_id() for each in found.jobs()] == [job.job_id()]
        assert {method for method, path, _ in seen if "resources" not in path} == {"GET"}
        again.delete_job(named.job_id())
        with pytest.raises(NotFoundError, match=named.job_id()):
            service.job(named.job_id())
    assert session.service.closed


def test_a_session_is_opened_in_the_instance_whose_plan_has_sessions(
    front: tuple[Front, str],
) -> None:
    cloud, url = front
    cloud.without_sessions = [crn("free")]
    with QiskitRuntimeService("ibm_cloud", cloud.token, url) as service:
        with Session(service, "fake_manila") as session:
            assert session.service.active_instance() == crn("paid")
            assert session.device.service is session.service
            job = Sampler(mode=session).run(bell(), shots=10)
            assert job.result()[0].data.cr.num_shots == 10
        assert cloud.made[job.job_id()] == cloud.made[str(session.session_id)] == crn("paid")
        with Batch(service, "fake_manila") as batch:
            assert batch.service.active_instance() == crn("free"), "this plan has sessions"
        cloud.without_sessions = [crn("free"), crn("paid")]
        with pytest.raises(PlanError, match="no sessions"):
            Session(service, "fake_manila")
        with pytest.raises(PlanError, match="no sessions"):
            Session(service, "fake_torino")


def test_a_service_of_one_instance_looks_nowhere_else(front: tuple[Front, str]) -> None:
    cloud, url = front
    with QiskitRuntimeService("ibm_cloud", cloud.token, url, crn("free")) as service:
        assert [each.name for each in service.backends()] == ["fake_manila"]
        with pytest.raises(BackendNotFoundError):
            service.backend("fake_torino")
    with QiskitRuntimeService("ibm_cloud", cloud.token, url, "paid") as service:
        assert service.active_instance() == crn("paid")
        assert service.backend("fake_manila").service is service
        both = service.backends(instance="free") + service.backends(instance="paid")
        assert [each.service.active_instance() for each in both] == [
            crn("free"),
            *[crn("paid")] * 2,
        ]


def test_the_local_runtime_has_no_instances(runtime: Path) -> None:
    assert runtime
    with pytest.raises(InvalidInputError, match="has no instances"):
        QiskitRuntimeService("local").backends(instance="x")
