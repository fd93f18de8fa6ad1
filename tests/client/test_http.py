from __future__ import annotations

import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

import psutil
import pytest
from starlette.responses import JSONResponse, PlainTextResponse, Response

from qsession_widget.errors import (
    ConflictError,
    InvalidInputError,
    NotAuthorizedError,
    NotFoundError,
    QSessionError,
    ServiceError,
    ServiceUnavailableError,
)
from qsession_widget.transport import http, pool
from qsession_widget.transport.auth import BearerAuth
from qsession_widget.transport.http import Endpoint, Transport
from qsession_widget.transport.responses import RETRY_STATUSES, RETRY_WHEN_TOLD
from qsession_widget.transport.rest import RuntimeApi
from tests.client.relays import listening
from tests.client.throwaway import Script, serving, unused_address

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.requests import Request

SECRET = "s3cr3t-t0ken"


@pytest.fixture(autouse=True, params=["direct", "requests"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The way of the requests: all that is promised here holds for both."""
    way: str = request.param
    if way == "requests":
        monkeypatch.setattr(pool, "is_here", lambda _: False)
    return way


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "_FIRST_PAUSE_SECONDS", 0.001)


class Stage(Script):
    """A server for all tests of this file, which runs the current script."""

    script = Script()
    root = ""

    async def answer(self, request: Request) -> Response:
        return await Stage.script.answer(request)


@pytest.fixture(scope="module", autouse=True)
def stage() -> Iterator[None]:
    with serving(Stage().app) as Stage.root:
        yield


@contextmanager
def connected(script: Script, **settings: object) -> Iterator[Transport]:
    Stage.script = script
    transport = Transport(Endpoint(Stage.root, BearerAuth(SECRET)), **settings)  # type: ignore[arg-type] # a test's shorthand
    yield transport
    transport.close()


def failing(status: int, **headers: str) -> Response:
    return PlainTextResponse("oh no", status, headers)


def test_sends_the_request_as_given() -> None:
    script = Script(JSONResponse({}))
    with connected(script) as transport:
        transport.request(
            "POST", "/jobs", params={"tags": ["a", "b"], "sort": None}, body={"x": 1}, key="k"
        )
    (request,) = script.asked
    assert request.url.query == "tags=a&tags=b"
    assert json.loads(script.bodies[0]) == {"x": 1}
    assert request.headers["authorization"] == f"Bearer {SECRET}"
    assert request.headers["content-type"] == "application/json"
    assert "idempotency-key" not in request.headers, (
        "no key is sent to a server that does not support them"
    )


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, ServiceError),
        (401, NotAuthorizedError),
        (403, ServiceError),
        (404, NotFoundError),
        (409, ConflictError),
        (429, ServiceError),
        (501, ServiceError),
    ],
)
def test_refused_requests_are_not_retried(status: int, kind: type[ServiceError]) -> None:
    error = {"code": 1291, "message": "Session not found.", "solution": "Look.", "more_info": ""}
    script = Script(JSONResponse({"trace": "t", "errors": [error]}, status))
    with connected(script) as transport, pytest.raises(QSessionError) as caught:
        transport.request("GET", "/sessions/x")
    assert type(caught.value) is kind
    assert (caught.value.status_code, caught.value.code) == (status, 1291)
    assert f"Session not found. Look. (GET /sessions/x, HTTP {status}, code 1291)" in str(
        caught.value
    )
    assert len(script.asked) == 1


@pytest.mark.parametrize(
    ("answer", "text", "code"),
    [
        (JSONResponse({"error": {"message": "m", "code": 1234}}, 400), "m (GET", 1234),
        (JSONResponse({"errors": []}, 400), '{"errors":[]} (GET', None),
        (PlainTextResponse("<html>" + "x" * 10_000, 400), "<html>xxx", None),
        (Response(status_code=400), "Bad Request (GET", None),
    ],
)
def test_other_shapes_of_errors(answer: Response, text: str, code: int | None) -> None:
    with connected(Script(answer)) as transport, pytest.raises(ServiceError) as caught:
        transport.request("GET", "/x")
    assert text in str(caught.value)
    assert caught.value.code == code
    assert len(str(caught.value)) < 1000


SAFE = ["GET", "PUT", "DELETE"]
UNSAFE = ["POST", "PATCH"]
PASSING = sorted(RETRY_STATUSES)
TOLD = sorted(RETRY_WHEN_TOLD)
FINAL = [400, 401, 402, 403, 404, 405, 409, 410, 412, 415, 422, *TOLD, 451, 501, 505, 507, 508]


@pytest.mark.parametrize("method", SAFE)
@pytest.mark.parametrize("status", PASSING)
def test_retries_what_is_safe_to_retry(method: str, status: int) -> None:
    script = Script(failing(status), failing(status), JSONResponse({"ok": True}))
    with connected(script) as transport:
        assert transport.request(method, "/x").json() == {"ok": True}
    assert len(script.asked) == 3


@pytest.mark.parametrize("method", UNSAFE)
@pytest.mark.parametrize("status", PASSING)
def test_never_retries_what_may_have_been_done(method: str, status: int) -> None:
    script = Script(failing(status), JSONResponse({}))
    with connected(script) as transport, pytest.raises(ServiceUnavailableError, match=str(status)):
        transport.request(method, "/x", body={}, key="ignored")
    assert len(script.asked) == 1


@pytest.mark.parametrize("method", [*SAFE, *UNSAFE])
@pytest.mark.parametrize("status", FINAL)
def test_a_refusal_is_final(method: str, status: int) -> None:
    script = Script(failing(status), JSONResponse({}))
    with (
        connected(script, honours_keys=True) as transport,
        pytest.raises(ServiceError, match=str(status)),
    ):
        transport.request(method, "/x", key="k", repeatable=True)
    assert len(script.asked) == 1


@pytest.mark.parametrize("status", TOLD)
@pytest.mark.parametrize(
    ("method", "key", "times"),
    [
        *((method, None, 2) for method in SAFE),
        ("POST", "k", 2),
        ("POST", None, 1),
        ("PATCH", None, 1),
    ],
)
def test_retries_when_the_server_says(
    method: str, key: str | None, times: int, status: int
) -> None:
    script = Script(failing(status, **{"Retry-After": "0"}), JSONResponse({}))
    refused = pytest.raises(ServiceError, match=str(status)) if times == 1 else nullcontext()
    with connected(script, honours_keys=True) as transport, refused:
        transport.request(method, "/x", key=key)
    assert len(script.asked) == times


def test_pauses_grow_and_are_spread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    paused: list[float] = []
    monkeypatch.setattr(Transport, "pause", lambda _, seconds: paused.append(seconds))
    rounds = 12
    with connected(Script(failing(503))) as transport:
        for _ in range(rounds):
            with pytest.raises(ServiceUnavailableError):
                transport.request("GET", "/x")
    pauses = [seconds for seconds in paused if seconds]
    assert len(pauses) == 4 * rounds
    for number, longest in enumerate([0.25, 0.5, 1.0, 2.0]):
        each = pauses[number::4]
        assert all(longest / 2 <= seconds <= longest for seconds in each)
        assert max(each) - min(each) > longest / 50, (
            "clients that fail together retry at different times"
        )


@pytest.mark.parametrize(
    ("honours_keys", "key", "repeatable", "times"),
    [(False, "k", False, 1), (True, None, False, 1), (True, "k", False, 2), (False, None, True, 2)],
)
def test_retries_a_post_only_where_it_is_safe(
    *, honours_keys: bool, key: str | None, repeatable: bool, times: int
) -> None:
    script = Script(failing(503), JSONResponse({}))
    with connected(script, honours_keys=honours_keys) as transport:
        try:
            transport.request("POST", "/jobs", body={"a": 1}, key=key, repeatable=repeatable)
        except ServiceUnavailableError:
            assert times == 1
    assert len(script.asked) == times
    keys = {request.headers.get("idempotency-key") for request in script.asked}
    assert keys == {key if honours_keys else None}, "with the same key each time"
    assert len(set(script.bodies)) == 1


def test_gives_up_eventually() -> None:
    script = Script(failing(500))
    with (
        connected(script) as transport,
        pytest.raises(ServiceUnavailableError, match=r"oh no .*HTTP 500"),
    ):
        transport.request("GET", "/x")
    assert len(script.asked) == 5


@pytest.mark.parametrize(
    ("value", "at_least", "at_most"),
    [
        ("7", 7, 7),
        ("Wed, 21 Oct 2015 07:28:37 GMT", 36, 38),
        ("Wed, 21 Oct 2015 07:28:37 -0000", 36, 38),
        ("Wed, 21 Oct 2015 06:00:00 GMT", 0, 1),
        ("soon", 0, 1),
        ("-1", 0, 1),
        ("", 0, 1),
    ],
)
def test_honours_retry_after(
    value: str, at_least: float, at_most: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A date is of the server's own clock, which is far behind here."""
    paused: list[float] = []
    monkeypatch.setattr(Transport, "pause", lambda _, seconds: paused.append(seconds))
    now = {"Date": "Wed, 21 Oct 2015 07:28:00 GMT"}
    script = Script(failing(503, **{"Retry-After": value, **now}), JSONResponse({}))
    with connected(script) as transport:
        transport.request("GET", "/x")
    (pause,) = [seconds for seconds in paused if seconds]
    assert at_least <= pause <= at_most


def test_does_not_wait_for_a_distant_retry_after() -> None:
    script = Script(failing(503, **{"Retry-After": "86400"}))
    with connected(script) as transport, pytest.raises(ServiceUnavailableError):
        transport.request("GET", "/x")
    assert len(script.asked) == 1


def test_an_unreachable_server() -> None:
    url = unused_address()
    transport = Transport(Endpoint(url, BearerAuth(SECRET)))
    with pytest.raises(ServiceUnavailableError, match="refused") as caught:
        transport.request("GET", "/backends")
    assert url in str(caught.value)
    assert isinstance(caught.value, ConnectionError)


@contextmanager
def hanging_up() -> Iterator[tuple[str, list[bytes]]]:
    """Serve connections that are closed after each request, without a response."""
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def work() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                with connection:
                    asked.append(connection.recv(65_536))

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}", asked
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_a_post_that_may_have_arrived_is_not_sent_again() -> None:
    with hanging_up() as (root, asked):
        transport = Transport(Endpoint(root, BearerAuth(SECRET)))
        with pytest.raises(ServiceUnavailableError):
            transport.request("POST", "/jobs", body={})
        assert len(asked) == 1


def test_recovers_from_a_broken_connection_with_the_same_key() -> None:
    script = Script(JSONResponse({"id": "j"}))
    with hanging_up() as (root, asked), serving(script.app) as other:
        transport = Transport(
            Endpoint(root, BearerAuth("old")),
            recover=lambda: Endpoint(other, BearerAuth("new")),
            honours_keys=True,
        )
        assert RuntimeApi(transport).create_job("{}", key="k-1").id == "j"
        assert len(asked) == 1
        assert b"k-1" in asked[0]
    (request,) = script.asked
    assert request.headers["idempotency-key"] == "k-1"
    assert request.headers["authorization"] == "Bearer new"


def test_a_refused_token_is_tried_again_only_if_there_is_another() -> None:
    script = Script(
        lambda request: Response(status_code=200 if "new" in str(request.headers) else 401)
    )
    tokens = iter(["new"])
    with connected(script) as transport:
        root = transport.url
    with serving(script.app) as root:
        transport = Transport(
            Endpoint(root, BearerAuth("old")),
            recover=lambda: Endpoint(root, BearerAuth(next(tokens))),
        )
        assert transport.request("GET", "/x").status_code == 200
        same = Transport(
            Endpoint(root, BearerAuth("old")), recover=lambda: Endpoint(root, BearerAuth("old"))
        )
        with pytest.raises(NotAuthorizedError):
            same.request("GET", "/x")
    assert len(script.asked) == 3


def test_loopback_is_reached_without_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", unused_address())
    script = Script(JSONResponse({}))
    with connected(script) as transport:
        transport.request("GET", "/x")
    assert len(script.asked) == 1


def test_the_token_appears_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    script = Script(failing(503), failing(404))
    with connected(script) as transport, pytest.raises(NotFoundError) as caught:
        transport.request("GET", "/x")
    said = [str(caught.value), repr(caught.value), repr(transport), repr(BearerAuth(SECRET))]
    assert SECRET not in " ".join([*said, caplog.text])
    assert "Trying again" in caplog.text


def test_closing_ends_pauses_and_later_requests() -> None:
    script = Script(failing(503, **{"Retry-After": "60"}))
    with connected(script) as transport:
        problems: list[Exception] = []

        def ask() -> None:
            try:
                transport.request("GET", "/x")
            except ServiceUnavailableError as error:
                problems.append(error)

        thread = threading.Thread(target=ask)
        thread.start()
        while not script.asked:
            pass
        transport.close()
        thread.join(timeout=30)
        assert not thread.is_alive()
        assert "was closed" in str(problems[0])
        with pytest.raises(ServiceUnavailableError, match="was closed"):
            transport.request("GET", "/x")
    assert len(script.asked) == 1


@pytest.mark.parametrize("bad", ["", ".", ".."])
def test_an_id_is_one_segment_of_a_path(bad: str) -> None:
    script = Script(JSONResponse({"id": "a/../../jobs?x=1#y"}))
    with connected(script) as transport:
        api = RuntimeApi(transport)
        api.session("a/../../jobs?x=1#y")
        with pytest.raises(InvalidInputError):
            api.session(bad)
    (request,) = script.asked
    assert request.scope["raw_path"] == b"/sessions/a%2F..%2F..%2Fjobs%3Fx%3D1%23y"


def test_a_response_that_is_not_json() -> None:
    with (
        connected(Script(PlainTextResponse("hello"))) as transport,
        pytest.raises(ServiceError, match="not JSON"),
    ):
        RuntimeApi(transport).session("x")


def test_a_conditional_get() -> None:
    script = Script(
        JSONResponse({"id": "j"}, headers={"ETag": '"1"'}),
        Response(status_code=304, headers={"ETag": '"1"', "Preference-Applied": "wait"}),
    )
    with connected(script) as transport:
        api = RuntimeApi(transport)
        first = api.job("j", wait_seconds=20)
        second = api.job("j", etag=first.etag, wait_seconds=20)
    assert first.body is not None
    assert (first.body.json, first.etag, first.waited) == ({"id": "j"}, '"1"', False)
    assert (second.body, second.etag, second.waited) == (None, '"1"', True)
    assert "prefer" not in script.asked[0].headers, "the first request does not wait"
    assert script.asked[1].headers["prefer"] == "wait=20"
    assert script.asked[1].headers["if-none-match"] == '"1"'


def test_closing_leaves_no_connection() -> None:
    with serving(Script(JSONResponse({})).app) as root:
        port = int(root.rpartition(":")[2])

        def established() -> int:
            found = psutil.Process().net_connections("tcp")
            mine = [each for each in found if each.raddr and each.raddr.port == port]
            return sum(each.status == psutil.CONN_ESTABLISHED for each in mine)

        transport = Transport(Endpoint(root, BearerAuth(SECRET)))
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda _: transport.request("GET", "/x"), range(8)))
        assert 1 <= established() <= 4
        transport.close()
        assert established() == 0


def test_many_threads_share_one_connection_pool() -> None:
    script = Script(lambda request: PlainTextResponse(request.url.path))
    with connected(script) as transport:
        answers: dict[int, str] = {}
        threads = [
            threading.Thread(
                target=lambda n=n: answers.update({n: transport.request("GET", f"/{n}").text})
            )
            for n in range(40)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert answers == {n: f"/{n}" for n in range(40)}


def restarting(outage: int) -> Script:
    """Return a script that answers, fails for some requests, and answers again."""
    return Script(JSONResponse({}), *[failing(503)] * outage, JSONResponse({"id": "new"}))


@pytest.mark.parametrize("method", ["POST", "GET", "DELETE"])
def test_user_requests_survive_a_restart(method: str) -> None:
    script = restarting(9)
    with connected(script, honours_keys=True) as transport:
        transport.request("GET", "/qsession")
        answer = transport.request(method, "/sessions", key="k")
    assert answer.json() == {"id": "new"}
    assert len(script.asked) == 11
    assert {each.headers["Idempotency-Key"] for each in script.asked[1:]} == {"k"}


def test_retrying_through_an_outage_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    noted: list[float] = []
    monkeypatch.setattr(Transport, "pause", lambda _, seconds: noted.append(seconds))
    monkeypatch.setattr(http, "_FIRST_PAUSE_SECONDS", 0.25)
    with connected(restarting(10**3), honours_keys=True) as transport:
        transport.request("GET", "/qsession")
        with pytest.raises(ServiceUnavailableError):
            transport.request("POST", "/jobs", key="k")
    assert 30 <= sum(noted) <= 32
    assert max(noted) <= 2


def test_polling_callers_do_not_wait_for_a_restart() -> None:
    script = restarting(9)
    with connected(script, honours_keys=True) as transport:
        transport.request("GET", "/qsession")
        with http.hurried(), pytest.raises(ServiceUnavailableError):
            transport.request("GET", "/x")
    assert len(script.asked) == 6


def test_first_and_unrepeatable_requests_do_not_wait_for_a_restart() -> None:
    script = Script(*[failing(503)] * 9, JSONResponse({}))
    with (
        connected(script, honours_keys=True) as transport,
        pytest.raises(ServiceUnavailableError),
    ):
        transport.request("GET", "/x")
    assert len(script.asked) == 5
    script = restarting(9)
    with connected(script) as transport:
        transport.request("GET", "/qsession")
        with pytest.raises(ServiceUnavailableError):
            transport.request("POST", "/jobs", key="k")
    assert len(script.asked) == 2


@pytest.mark.parametrize(
    "answer",
    [
        JSONResponse({"id": "j"}, headers={"Content-Location": "/jobs/other"}),
        JSONResponse({"id": "other"}),
        JSONResponse({"id": "j"}, headers={"Idempotency-Key": "another's"}),
        JSONResponse({"devices": []}),
    ],
)
def test_a_response_to_another_request_is_repeated_or_refused(answer: Response) -> None:
    right = JSONResponse({"id": "j"}, headers={"Content-Location": "/api/v1/jobs/j"})
    script = Script(answer, right)
    with connected(script) as transport:
        found = RuntimeApi(transport).job("j").body
    assert found is not None
    assert found.document.id == "j"
    assert len(script.asked) == 2, "the request is repeated"
    with connected(Script(answer)) as transport, pytest.raises(ServiceUnavailableError):
        RuntimeApi(transport).job("j")


def test_a_response_cut_in_its_head_is_rejected() -> None:
    """Python's parser takes it for a complete response without a body."""
    asked: list[bytes] = []

    def serve(connection: socket.socket) -> None:
        asked.append(connection.recv(65_536))
        head = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
        connection.sendall(head[:22] if len(asked) == 1 else head)

    with listening(serve) as port:
        transport = Transport(Endpoint(f"http://127.0.0.1:{port}", BearerAuth(SECRET)))
        assert transport.request("GET", "/x").json() == {}
        transport.close()
    assert len(asked) == 2
