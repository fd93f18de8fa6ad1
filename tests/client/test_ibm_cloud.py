"""IBM Cloud's IAM, instances and REST API, all served by the local runtime."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from qsession_widget import (
    InvalidInputError,
    NotAuthorizedError,
    QiskitRuntimeService,
    Sampler,
    Session,
)
from qsession_widget.local import process
from qsession_widget.transport.accounts import Account
from qsession_widget.transport.ibm_cloud import Instance, fitting
from qsession_widget.wire.fields import INSTANCE_CRN, INSTANCE_NAME
from tests.client.circuits import bell
from tests.client.throwaway import serving

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.requests import Request

    from qsession_widget.local.ibm_client import Connection

CRN = "crn:v1:bluemix:public:quantum-computing:{region}:a/1:{name}::"


@pytest.fixture
def cloud(runtime: Path, monkeypatch: pytest.MonkeyPatch) -> Connection:
    """Point the variables for IBM Cloud at the runtime."""
    found = process.connection(folder=runtime)
    for name, value in found.cloud.items():
        monkeypatch.setenv(name, value)
    return found


def service_at(cloud: Connection, **more: Any) -> QiskitRuntimeService:
    wanted = {**cloud.account, **more}
    return QiskitRuntimeService(**{key: value for key, value in wanted.items() if value != ...})


@pytest.mark.parametrize("instance", [INSTANCE_CRN, INSTANCE_NAME, "auto", None])
def test_a_session_at_ibm_from_the_key_to_the_counts(
    cloud: Connection, instance: str | None
) -> None:
    with service_at(cloud, instance=instance) as service:
        assert service.active_instance() == INSTANCE_CRN
        assert service.channel == "ibm_quantum_platform"
        with Session(service, "fake_manila") as session:
            job = Sampler(mode=session).run(bell(), shots=100)
            assert job.result()[0].data.cr.num_shots == 100
        assert session.status() == "Closed"


def test_instances_are_listed(cloud: Connection) -> None:
    service = service_at(cloud)
    (instance,) = service.instances()
    assert (instance["crn"], instance["name"]) == (INSTANCE_CRN, INSTANCE_NAME)
    assert set(instance) == {"crn", "name", "plan", "pricing_type", "tags"}
    assert QiskitRuntimeService("local").instances() == []
    assert service.usage()


def test_an_unknown_instance(cloud: Connection) -> None:
    with pytest.raises(InvalidInputError, match=rf"instance='other'.*{INSTANCE_NAME} \("):
        service_at(cloud, instance="other")
    with pytest.raises(InvalidInputError, match="region='eu-de'"):
        service_at(cloud, instance=None, region="eu-de")


def test_a_key_that_iam_refuses(cloud: Connection) -> None:
    with pytest.raises(NotAuthorizedError, match="refuses the API key") as caught:
        service_at(cloud, token="wr0ng", instance=None)
    assert "wr0ng" not in str(caught.value)


@pytest.mark.parametrize("variable", ["IAM_URL", "GLOBAL_SEARCH_URL", "GLOBAL_CATALOG_URL"])
def test_an_ibm_key_is_never_sent_to_a_runtime(
    variable: str, cloud: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in cloud.cloud.items():
        if name != variable:
            monkeypatch.delenv(name)
        assert value.startswith("http://127.0.0.1")
    with pytest.raises(InvalidInputError, match=f"{variable}=.*Unset {variable}"):
        QiskitRuntimeService("ibm_cloud", "a-real-key")


def test_all_pages_of_instances_are_read_and_archived_plans_are_unknown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def item(name: str, plan: str, **more: Any) -> dict[str, Any]:
        crn = CRN.format(region="us-east", name=name)
        extensions: dict[str, Any] = {"doc": {"extensions": [{}]}}
        return {"crn": crn, "name": name, "service_plan_unique_id": plan, **extensions, **more}

    pages = {
        None: {"items": [item("a", "paid"), item("b", "archived")], "search_cursor": "next"},
        "next": {"items": [item("c", "paid", doc={}), item("d", "paid", tags=["Lesson"])]},
    }
    asked: list[str] = []

    async def search(request: Request) -> JSONResponse:
        return JSONResponse(pages[(await request.json()).get("search_cursor")])

    async def catalog(request: Request) -> JSONResponse:
        asked.append(plan := request.path_params["plan"])
        if plan == "archived":
            return JSONResponse({"message": "Forbidden"}, 403)
        pricing = {"metadata": {"pricing": {"type": "Paid"}}}
        return JSONResponse({"overview_ui": {"en": {"display_name": "Premium"}}, **pricing})

    async def token(_: Request) -> JSONResponse:
        return JSONResponse({"access_token": "t", "expires_in": 3600})

    app = Starlette(
        routes=[
            Route("/v3/resources/search", search, methods=["POST"]),
            Route("/catalog/{plan}", catalog),
            Route("/identity/token", token, methods=["POST"]),
        ]
    )
    with serving(app) as root:
        monkeypatch.setenv("IAM_URL", root)
        monkeypatch.setenv("GLOBAL_SEARCH_URL", root)
        monkeypatch.setenv("GLOBAL_CATALOG_URL", f"{root}/catalog")
        service = QiskitRuntimeService("ibm_cloud", "k", f"{root}/experimental", tags=["LESSON"])
        found = {each["name"]: each for each in service.instances()}
    assert service.active_instance() == CRN.format(region="us-east", name="d")
    assert set(found) == {"a", "b", "d"}, "an instance without an allocation has no devices"
    assert (found["a"]["plan"], found["a"]["pricing_type"]) == ("premium", "paid")
    assert (found["b"]["plan"], found["b"]["pricing_type"]) == ("unknown", "unknown")
    assert sorted(set(asked)) == ["archived", "paid"]
    assert asked.count("paid") == 2, "once per listing, however many instances have it"


def instance(name: str, plan: str, pricing: str, region: str = "us-east") -> Instance:
    return Instance(CRN.format(region=region, name=name), name, plan, pricing, (plan, "all"))


INSTANCES = [
    instance("a", "premium", "paid"),
    instance("b", "open", "free", "eu-de"),
    instance("c", "odd", "new"),
    instance("d", "flex", "subscription"),
]


@pytest.mark.parametrize(
    ("wanted", "name"),
    [
        ({}, "b"),
        ({"region": "us-east"}, "a"),
        ({"plans_preference": ["Flex", "premium"]}, "d"),
        ({"tags": ["ODD", "all"]}, "c"),
        ({"name": "d"}, "d"),
    ],
)
def test_the_instance_that_is_chosen(wanted: dict[str, Any], name: str) -> None:
    assert fitting(INSTANCES, **wanted)[0].name == name


@pytest.mark.parametrize(
    ("url", "instance", "private", "iam"),
    [
        (None, CRN.format(region="us-east", name="x"), False, "https://iam.cloud.ibm.com"),
        (None, CRN.format(region="eu-de", name="x"), True, "https://private.iam.cloud.ibm.com"),
        (None, "crn:v1:staging:public:q:us-east:a/1:x::", False, "https://iam.test.cloud.ibm.com"),
    ],
)
def test_the_iam_url_is_the_official_clients(
    url: str | None, instance: str, *, private: bool, iam: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from qiskit_ibm_runtime.api.auth import CloudAuth  # noqa: PLC0415 - slow

    monkeypatch.delenv("IAM_URL", raising=False)
    account = Account("ibm_cloud", "t", url, instance, private_endpoint=private)
    assert account.iam_url() == iam
    assert CloudAuth("t", instance, private=private).tm.url == iam


def test_search_and_catalog_urls_are_the_official_clients() -> None:
    from qiskit_ibm_runtime.accounts import utils  # noqa: PLC0415 - slow

    url = "https://test.example"
    account = Account("ibm_cloud", "t", url)
    assert account.iam_url() == utils.get_iam_api_url(url)
    assert account.search_url() == utils.get_global_search_api_url(url)
    assert account.catalog_url() == utils.get_global_catalog_api_url(url)


def test_connecting_does_not_import_the_official_client() -> None:
    code = "import sys, qsession_widget.client.connect; print('qiskit_ibm_runtime' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)  # noqa: S603 - ours
    assert found.stdout.strip() == "False"
