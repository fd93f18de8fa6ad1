"""The exchange of an API key for tokens, over real HTTP."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import parse_qs

import pytest
from starlette.responses import JSONResponse, PlainTextResponse, Response

from qsession_widget.client.service import QiskitRuntimeService
from qsession_widget.errors import InvalidInputError, NotAuthorizedError, ServiceUnavailableError
from qsession_widget.transport import auth
from qsession_widget.transport.auth import IAMAuth, check_iam
from qsession_widget.transport.http import Endpoint, Transport
from tests.client.throwaway import Script, serving, unused_address

KEY = "an-api-key"
CRN = "crn:v1:bluemix:public:quantum-computing:us-east:a/1:2::"


def token(name: str, life_seconds: float = 3600) -> Response:
    return JSONResponse({"access_token": name, "expires_in": life_seconds})


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        # Only the module's own clock: uvicorn's event loop keeps the real one.
        monkeypatch.setattr(auth, "time", self)

    def monotonic(self) -> float:
        return self.now


def test_a_token_is_used_until_its_renewal(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    script = Script(token("one"), token("two"))
    with serving(script.app) as root:
        iam = IAMAuth(KEY, CRN, iam_url=root)
        assert [iam.token(), iam.token()] == ["one", "one"]
        clock.now += 0.79 * 3600
        assert iam.token() == "one"
        clock.now += 0.02 * 3600
        assert iam.token() == "two", "renewed before it expires"
    assert [request.url.path for request in script.asked] == ["/identity/token"] * 2
    assert parse_qs(script.bodies[0].decode()) == {
        "grant_type": ["urn:ibm:params:oauth:grant-type:apikey"],
        "apikey": [KEY],
        "response_type": ["cloud_iam"],
    }


def test_a_failed_renewal_is_harmless_while_the_token_is_valid(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock(monkeypatch)
    script = Script(token("one"), PlainTextResponse("busy", 503), token("two"))
    with serving(script.app) as root:
        iam = IAMAuth(KEY, CRN, iam_url=root)
        iam.token()
        clock.now += 0.9 * 3600
        assert [iam.token(), iam.token()] == ["one", "one"]
        assert len(script.asked) == 2, "no request hammers a failing IAM"
        clock.now += 11
        assert iam.token() == "two"


def test_an_expired_token_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    script = Script(token("one"), PlainTextResponse("busy", 503))
    with serving(script.app) as root:
        iam = IAMAuth(KEY, CRN, iam_url=root)
        iam.token()
        clock.now += 3600
        with pytest.raises(ServiceUnavailableError, match="503 without a token"):
            iam.token()


@pytest.mark.parametrize(
    "answer",
    [JSONResponse({}), JSONResponse([]), PlainTextResponse("hi"), token("x", "y")],  # type: ignore[arg-type] # a lifetime that is not a number
)
def test_an_answer_without_a_token(answer: Response) -> None:
    with (
        serving(Script(answer).app) as root,
        pytest.raises(ServiceUnavailableError, match="without a token"),
    ):
        IAMAuth(KEY, CRN, iam_url=root).token()


def test_a_refused_key_is_reported_in_iams_words() -> None:
    body = {"errorCode": "BXNIM0415E", "errorMessage": "Provided API key could not be found."}
    script = Script(JSONResponse(body, 400))
    with (
        serving(script.app) as root,
        pytest.raises(NotAuthorizedError, match="could not be found") as caught,
    ):
        IAMAuth(KEY, CRN, iam_url=root).token()
    assert KEY not in str(caught.value)
    assert len(script.asked) == 1


def test_an_unreachable_iam_blocks_no_other_thread() -> None:
    iam = IAMAuth(KEY, CRN, iam_url=unused_address())
    for _ in range(3):
        with pytest.raises(ServiceUnavailableError, match="cannot be reached"):
            iam.token()


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("until", ["two", "never"])
def test_a_token_that_expires_early_is_replaced_once(method: str, until: str) -> None:
    """As after a machine's sleep, during which the monotonic clock stands still."""
    iam_script = Script(token("one"), token("two"), token("three"))
    taken = f"Bearer {until}"
    script = Script(
        lambda request: Response(
            status_code=200 if request.headers["authorization"] == taken else 401
        )
    )
    with serving(iam_script.app) as iam_root, serving(script.app) as root:
        transport = Transport(Endpoint(root, IAMAuth(KEY, CRN, iam_url=iam_root)))
        if until == "two":
            assert transport.request(method, "/x").status_code == 200
            assert transport.request(method, "/x").status_code == 200
        else:
            with pytest.raises(NotAuthorizedError, match="401"):
                transport.request(method, "/x")
        transport.close()
    sent = [request.headers["authorization"] for request in script.asked]
    assert sent == ["Bearer one", "Bearer two", *(["Bearer two"] if until == "two" else [])]
    assert len(iam_script.asked) == 2


def test_a_token_refused_in_many_threads_is_replaced_once() -> None:
    iam_script = Script(token("one"), token("two"), token("three"))
    script = Script(
        lambda request: Response(
            status_code=401 if request.headers["authorization"] == "Bearer one" else 200
        )
    )
    with serving(iam_script.app) as iam_root, serving(script.app) as root:
        transport = Transport(Endpoint(root, IAMAuth(KEY, CRN, iam_url=iam_root)))
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: transport.request("POST", "/x"), range(24)))
        transport.close()
    assert {answer.status_code for answer in answers} == {200}
    assert len(iam_script.asked) == 2


def test_the_service_at_ibm(monkeypatch: pytest.MonkeyPatch) -> None:
    """Token and CRN go with each request; the url with "experimental" is taken as it is."""
    asked: list[Any] = []

    def answer(request: Any) -> Response:
        asked.append(request)
        match request.url.path:
            case "/identity/token":
                return token("short-lived")
            case "/experimental/api/v1/backends":
                return JSONResponse({"devices": []})
        return Response(status_code=404)

    with serving(Script(answer).app) as root:
        monkeypatch.setenv("IAM_URL", root + "/identity/token")
        with QiskitRuntimeService(
            token=KEY, url=root + "/experimental/api/v1", instance=CRN
        ) as service:
            assert service.channel == "ibm_quantum_platform"
            assert service.backends() == []
            assert service.features == frozenset(), "IBM answers 404 to our own endpoint"
            assert KEY not in repr(service)
            assert KEY not in str(service.active_account())
    assert [request.url.path for request in asked] == [
        "/identity/token",
        "/experimental/api/v1/backends",
        "/experimental/api/v1/qsession",
    ]
    assert asked[1].headers["authorization"] == "Bearer short-lived"
    assert asked[1].headers["service-crn"] == CRN


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1:8000", "localhost:8000", "[::1]:8000", "classroom:8000", "iam.cloud.ibm.com.evil"],
)
def test_an_ibm_key_is_never_sent_to_another_iam(
    host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IAM_URL", f"http://{host}")
    with pytest.raises(InvalidInputError, match="Unset IAM_URL"):
        check_iam("https://quantum.cloud.ibm.com/api/v1")
    check_iam("http://127.0.0.1:9000/experimental/api/v1")
    monkeypatch.setenv("IAM_URL", "https://iam.test.cloud.ibm.com")
    check_iam("https://quantum.cloud.ibm.com/api/v1")
