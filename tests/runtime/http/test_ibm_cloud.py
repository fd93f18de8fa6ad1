"""IAM's tokens, the instance's endpoints, and prefixes of paths."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
import requests
from starlette.responses import Response
from starlette.routing import Route

from qsession_widget.local import process
from qsession_widget.runtime.auth.tokens import TOKEN_SECONDS, Tokens
from qsession_widget.runtime.auth.user_registry import UserRegistry, hash_of
from qsession_widget.runtime.http.middleware.prefix import PrefixMiddleware
from qsession_widget.runtime.http.routes.ibm_cloud import GRANT_TYPE, PLAN_ID
from qsession_widget.runtime.model.user import User
from qsession_widget.wire.fields import INSTANCE_CRN

if TYPE_CHECKING:
    from pathlib import Path

NOW = 1_790_000_000.5


def claims(token: str) -> dict[str, object]:
    body = token.split(".")[1]
    found: dict[str, object] = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    return found


ADA = User("ada", datetime(2026, 11, 22, tzinfo=UTC), hash_of("token of ada"))


def of(secret: str, *users: User) -> Tokens:
    return Tokens(secret, UserRegistry(secret, users or [ADA]))


def test_issued_token_is_good_for_an_hour_and_for_its_runtime_only() -> None:
    tokens = of("secret")
    answer = tokens.issue("ada", NOW)
    token = answer["access_token"]
    assert claims(token)["iat"] == int(NOW)
    assert claims(token)["exp"] == answer["expiration"] == int(NOW) + TOKEN_SECONDS
    assert tokens.owner_of_issued(token, NOW + TOKEN_SECONDS - 1) == "ada"
    assert tokens.owner_of_issued(token, NOW + TOKEN_SECONDS) is None
    assert of("other").owner_of_issued(token, NOW) is None
    assert of("secret").owner_of_issued(token, NOW) == "ada"


@pytest.mark.parametrize("token", ["", ".", "..", "a.b.c", "é.é.é"])
def test_other_tokens_are_refused(token: str) -> None:
    assert of("secret").owner_of_issued(token, NOW) is None


def test_an_issued_token_ends_with_the_token_that_it_was_issued_for() -> None:
    registry = UserRegistry("secret", [ADA])
    tokens = Tokens("secret", registry)
    issued = tokens.issue("ada", NOW)["access_token"]
    registry.remove("ada")
    assert tokens.owner_of_issued(issued, NOW) is None
    registry.add(replace(ADA, token_hash=hash_of("another token of ada")))
    assert tokens.owner_of_issued(issued, NOW) is None
    again = tokens.issue("ada", NOW)["access_token"]
    assert tokens.owner_of_issued(again, NOW) == "ada"


@pytest.mark.parametrize("body", [b"[]", b"7", b"{}", b'{"sub": {}}', b"\xff", b"[" * 9000])
def test_a_token_with_odd_claims_is_refused(body: bytes) -> None:
    text = base64.urlsafe_b64encode(body).rstrip(b"=").decode()
    assert of("secret").owner_of_issued(f"a.{text}.c", NOW) is None


def test_altered_token_is_refused() -> None:
    tokens = of("secret")
    head, _, signature = tokens.issue("ada", NOW)["access_token"].split(".")
    forged = base64.urlsafe_b64encode(b'{"sub":"eve","exp":9999999999}').rstrip(b"=").decode()
    assert tokens.owner_of_issued(f"{head}.{forged}.{signature}", NOW) is None


@pytest.mark.parametrize(
    ("path", "cut"),
    [
        ("/jobs", "/jobs"),
        ("/api/v1/jobs/x", "/jobs/x"),
        ("/experimental/api/v1/jobs/jobs/results", "/jobs/jobs/results"),
        ("http://quantum.example/api/v1/jobs", "/jobs"),
        ("/api/v1/nothing", "/api/v1/nothing"),
        ("/", "/"),
    ],
)
def test_prefix_is_whatever_stands_before_a_route(path: str, cut: str) -> None:
    app = Response()
    routes = [Route("/jobs", app), Route("/jobs/{id}", app)]
    assert PrefixMiddleware(app, routes).cut(path) == cut


def test_a_key_is_exchanged_for_a_token_of_full_access(runtime: Path) -> None:
    found = process.endpoint(folder=runtime)

    def exchange(**form: str) -> requests.Response:
        return requests.post(f"{found.url}/identity/token", data=form, timeout=30)

    answer = exchange(grant_type=GRANT_TYPE, apikey=found.token)
    assert answer.headers["Content-Type"] == "application/json"
    for authorization in (
        f"Bearer {answer.json()['access_token']}",
        f"Bearer {found.token}",
        f"apikey {found.token}",
    ):
        headers = {"Authorization": authorization}
        for prefix in ("/api/v1", "/experimental/api/v1", "", "/any/thing"):
            url = f"{found.url}{prefix}/backends/fake_manila/status"
            assert requests.get(url, headers=headers, timeout=30).status_code == 200
    for form in ({"apikey": found.token}, {"grant_type": GRANT_TYPE, "apikey": "foreign-key"}):
        refused = exchange(**form)
        assert refused.status_code == 400
        assert "qsession connect" in refused.json()["errorMessage"]
    assert "foreign-key" not in (runtime / "runtime.log").read_text()


def test_search_and_catalog_need_a_token_and_list_one_instance(runtime: Path) -> None:
    found = process.endpoint(folder=runtime)
    search, catalog = f"{found.url}/v3/resources/search", f"{found.url}/catalog/{PLAN_ID}"
    assert requests.post(search, json={}, timeout=30).status_code == 401
    assert requests.get(catalog, timeout=30).status_code == 401
    headers = {"Authorization": f"Bearer {found.token}"}
    (item,) = requests.post(search, json={}, headers=headers, timeout=30).json()["items"]
    assert item["crn"] == INSTANCE_CRN
    plan = requests.get(catalog, headers=headers, timeout=30).json()
    assert plan["metadata"]["pricing"]["type"] == "free"
    resources = f"{found.url}/v2/resource_instances"
    named = requests.get(f"{resources}/{INSTANCE_CRN}", headers=headers, timeout=30).json()
    assert named["name"] == item["name"]
    for name, count in ((item["name"], 1), ("another", 0)):
        listing = requests.get(resources, {"name": name}, headers=headers, timeout=30).json()
        assert listing["rows_count"] == count
    unknown = requests.get(f"{resources}/crn:v1:other", headers=headers, timeout=30)
    assert unknown.status_code == 404
    assert INSTANCE_CRN in unknown.json()["errors"][0]["solution"]


def test_unknown_paths_and_methods_have_the_services_form_of_errors(runtime: Path) -> None:
    found = process.endpoint(folder=runtime)
    headers = {"Authorization": f"Bearer {found.token}"}
    nowhere = requests.get(f"{found.url}/api/v1/nothing", headers=headers, timeout=30)
    assert (nowhere.status_code, nowhere.json()["errors"][0]["code"]) == (404, 1200)
    wrong = requests.put(f"{found.url}/api/v1/backends", headers=headers, timeout=30)
    assert wrong.status_code == 405
    assert "GET" in wrong.headers["Allow"]
