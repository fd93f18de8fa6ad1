"""The API's description is in the repository, is what the runtime serves, and is true."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests
from starlette.routing import Route

from qsession_widget.local import process
from qsession_widget.runtime.http import openapi
from tests.conftest import DEADLINE_SECONDS, running
from tests.runtime.http.test_workloads import Client

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.requests import Request
    from starlette.responses import Response

KEPT = Path(__file__).parents[3] / "docs" / "openapi.json"
EXAMPLES = int(os.environ.get("QSESSION_EXAMPLES", "8"))
"""How many requests schemathesis generates for each endpoint; `make soak` generates more."""

# One stops the runtime; the other takes one API key only, which a description cannot express.
LEFT_OUT = ("/qsession/shutdown", "/identity/token", "/qsession/proof")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with running(tmp_path_factory.mktemp("openapi")) as folder:
        yield folder


def served(home: Path) -> Any:
    return Client(home).json(openapi.PATH)


def test_the_kept_description_is_the_served_one(home: Path) -> None:
    found = json.dumps(served(home), indent=1, sort_keys=True) + "\n"
    if os.environ.get("QSESSION_WRITE"):
        KEPT.write_text(found)
    assert found == KEPT.read_text(), "write it anew: QSESSION_WRITE=1 pytest " + __file__


def test_every_endpoint_has_a_sentence() -> None:
    paths = json.loads(KEPT.read_text(encoding="utf-8"))["paths"]
    said = {each["summary"] for methods in paths.values() for each in methods.values()}
    assert len(said) > 30
    assert not [each for each in said if not (each[0].isupper() and each.endswith("."))]


def test_an_undescribed_endpoint_is_an_error() -> None:
    async def answer(_request: Request) -> Response:
        raise NotImplementedError

    with pytest.raises(LookupError, match="/unheard/of"):
        openapi.describe([Route("/unheard/of", answer)], 600)


def test_every_endpoint_needs_a_token(home: Path) -> None:
    root = process.endpoint(start=False, folder=home).url
    for path, methods in served(home)["paths"].items():
        for method, described in methods.items():
            if described.get("security") == []:
                continue
            answer = requests.request(method, f"{root}/api/v1{path}", timeout=30)
            assert answer.status_code == 401, (method, path)
            assert answer.json()["errors"][0]["message"]


def test_a_wrong_method_is_refused_with_the_allowed_ones(home: Path) -> None:
    answer = Client(home).ask("PUT", "/sessions/x")
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, HEAD, PATCH")


def test_the_description_is_true(home: Path, tmp_path: Path) -> None:
    found = process.endpoint(start=False, folder=home)
    api = f"{found.url}/api/v1"
    command = [str(Path(sys.executable).with_name("st")), "run", api + openapi.PATH, "--url", api]
    command += ["--header", f"Authorization: Bearer {found.token}"]
    for path in LEFT_OUT:
        command += ["--exclude-path", path]
    # Tokens and methods have the tests above; its own search for them sends hundreds of requests.
    command += ["--exclude-checks", "ignored_auth", "--phases", "examples,coverage,fuzzing"]
    command += ["--max-examples", str(EXAMPLES), "--generation-deterministic"]
    command += ["--suppress-health-check", "all", "--no-color"]
    done = subprocess.run(  # noqa: S603 - ours
        command,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE_SECONDS * max(4, EXAMPLES),
    )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr
