"""What pages can do through the server's extension, and what others cannot."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests

from qsession_widget import Sampler, Session
from qsession_widget.local import process
from qsession_widget.local.admin import Administration
from qsession_widget.transport.auth import BearerAuth
from qsession_widget.transport.http import Endpoint, Transport
from qsession_widget.transport.rest import RuntimeApi
from qsession_widget.wire.discovery import Discovery
from qsession_widget.wire.fields import API_PREFIX
from tests.client.circuits import bell
from tests.conftest import eventually, running, use
from tests.server_extension.serving import Server, serve

if TYPE_CHECKING:
    from collections.abc import Iterator

GOLDEN = Path(__file__).parents[2] / "js" / "tests" / "golden" / "server-sessions.json"


@pytest.fixture(scope="module")
def slow_one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Run a runtime whose jobs take an hour, one at a time."""
    folder = tmp_path_factory.mktemp("slow-one")
    with running(folder, "--min-job-seconds", "3600", "--workers", "1"):
        yield folder


@pytest.fixture(scope="module")
def server(slow_one: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serve(tmp_path_factory.mktemp("jupyter"), slow_one) as found:
        yield found


@pytest.fixture
def home(slow_one: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    use(slow_one, monkeypatch)
    return slow_one


def listed(server: Server, session_id: str) -> dict[str, Any] | None:
    found = server.get("sessions")["sessions"]
    return next((each for each in found if each["session_id"] == session_id), None)


def accepts(session: Session) -> bool:
    details = session.details()
    assert details is not None
    return details["accepting_jobs"]


def shape(value: Any) -> Any:
    """Return the names and the kinds of a JSON value's parts."""
    if isinstance(value, dict):
        return {name: shape(each) for name, each in value.items()}
    if isinstance(value, list):
        return [shape(each) for each in value[:1]]
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return "number" if is_number else type(value).__name__


@pytest.mark.usefixtures("home")
def test_a_page_lists_closes_and_cancels(server: Server) -> None:
    with Session(backend="fake_manila", name="H2", max_time="10m") as session:
        jobs = [Sampler(mode=session).run([bell()]) for _ in range(3)]
        session_id = session.session_id or ""
        eventually(lambda: jobs[0].status() == "RUNNING")
        card = listed(server, session_id)
        assert card is not None
        assert (card["name"], card["backend_name"], card["kernel"]) == (
            "H2",
            "fake_manila",
            "alive",
        )
        assert (card["state"], card["status"]) == ("active", session.status())
        assert (card["queued"], card["running"], card["finished"]) == (2, 1, 0)
        (most,) = card["countdowns"]
        assert (most["kind"], most["label"], most["total"]) == ("max", "Time left", 600_000)
        details = server.get(f"sessions/{session_id}")
        assert [each["id"] for each in details["jobs"]] == [job.job_id() for job in jobs]
        assert [each["state"] for each in details["jobs"]] == ["running", "queued", "queued"]
        assert details.items() >= {**card, "usage_seconds": details["usage_seconds"]}.items()

        assert server.ask("POST", f"jobs/{jobs[1].job_id()}/cancel").status_code == 204
        assert jobs[1].status() == "CANCELLED"
        again = server.ask("POST", f"jobs/{jobs[1].job_id()}/cancel")
        assert again.status_code == 409
        assert jobs[1].job_id() in again.json()["message"]
        assert server.ask("POST", f"sessions/{session_id}/cancel-queued").status_code == 204
        assert jobs[2].status() == "CANCELLED"
        assert server.ask("POST", f"sessions/{session_id}/close").status_code == 204
        assert accepts(session) is False
        counts = listed(server, session_id)
        assert counts is not None
        assert (counts["queued"], counts["running"], counts["finished"]) == (0, 1, 2)
        jobs[0].cancel()
        eventually(lambda: listed(server, session_id) is None)
    assert server.ask("GET", "sessions/no-such-session").status_code == 404


@pytest.mark.usefixtures("home")
def test_answers_have_the_shape_that_pages_expect(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As Jupyter tells a kernel; else the place depends on how these tests were started.
    monkeypatch.setenv("JPY_SESSION_NAME", "vqe.ipynb")
    golden = json.loads(GOLDEN.read_text("utf-8"))
    with Session(backend="fake_manila", name="H2") as session:
        job = Sampler(mode=session).run([bell()])
        eventually(lambda: job.status() == "RUNNING")
        found = server.get("sessions")
        assert shape(found["runtime"]) == shape(golden["sessions"]["runtime"])
        assert found["runtime"]["clock"] == "real"
        assert shape(found["sessions"][-1]) == shape(golden["sessions"]["sessions"][0])
        details = server.get(f"sessions/{session.session_id}")
        assert details.keys() == golden["session"].keys()
        (job_line,) = details["jobs"]
        assert job_line == {**job_line, "program": "sampler", "state": "running", "ran": None}
        assert job_line.keys() == golden["session"]["jobs"][0].keys()
        session.cancel()
        job.cancel()
    refused = server.ask("POST", f"jobs/{job.job_id()}/cancel").json()
    assert refused.keys() == golden["refused"].keys()


def test_sessions_of_others_are_neither_listed_nor_closed(server: Server, home: Path) -> None:
    found = Discovery.read(home)
    assert found is not None
    token = Administration(folder=home).add_user("guest")
    endpoint = Endpoint(f"{found.url}{API_PREFIX}", BearerAuth(token))
    guest = RuntimeApi(Transport(endpoint, honours_keys=True))
    theirs = guest.create_session({"backend": "fake_manila"}, key="guest-1").id
    assert listed(server, theirs) is None
    assert server.ask("POST", f"sessions/{theirs}/close").status_code == 404
    assert guest.session(theirs).accepting_jobs is True
    Administration(folder=home).remove_user("guest")


@pytest.mark.usefixtures("home")
def test_a_program_that_ended_is_reported(server: Server) -> None:
    opens = (
        "from qsession_widget import Session\n"
        "print(Session(backend='fake_manila').session_id, flush=True)\nimport os\nos._exit(0)"
    )
    ran = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-c", opens], check=True, capture_output=True, text=True
    )
    card = listed(server, ran.stdout.strip())
    assert card is not None
    assert card["kernel"] == "gone"


@pytest.mark.usefixtures("home")
def test_a_stranger_and_a_foreign_page_are_refused(server: Server) -> None:
    with Session(backend="fake_manila") as session:
        ways = (
            ("GET", "sessions"),
            ("GET", f"sessions/{session.session_id}"),
            ("POST", f"sessions/{session.session_id}/close"),
            ("POST", f"sessions/{session.session_id}/cancel-queued"),
            ("POST", "jobs/some-job/cancel"),
        )
        for method, path in ways:
            assert server.ask(method, path, {}).status_code == 403
            wrong = {"Authorization": "token wrong"}
            assert server.ask(method, path, wrong).status_code == 403
        # A page of another origin has the user's cookie, but can neither read nor send the token.
        cookies = logged_in(server)
        home_page = {"Origin": server.url.rpartition("/user")[0], "X-XSRFToken": cookies["_xsrf"]}
        foreign = {"Origin": "http://evil.example", "Referer": "http://evil.example/page"}
        for method, path in ways:
            assert server.ask(method, path, foreign, cookies=cookies).status_code in {403, 404}
            if method == "POST":
                bare = {"Origin": home_page["Origin"]}
                assert server.ask(method, path, bare, cookies=cookies).status_code == 403
        assert accepts(session) is True
        (_, _, (_, close), *_) = ways
        assert server.ask("POST", close, home_page, cookies=cookies).status_code == 204
        assert accepts(session) is False


def logged_in(server: Server) -> dict[str, str]:
    """Return the cookies of a browser that has opened the server's address with its token."""
    browser = requests.Session()
    browser.get(f"{server.url}/login", params={"token": server.token}, timeout=60)
    cookies = browser.cookies.get_dict()
    assert "_xsrf" in cookies
    assert len(cookies) == 2
    return cookies


HUB = """
from jupyter_server.auth import Authorizer, IdentityProvider, User

class Hub(IdentityProvider):
    def get_user(self, handler):
        name = handler.request.headers.get("X-User")
        return User(username=name) if name else None

class Owner(Authorizer):
    def is_authorized(self, handler, user, action, resource):
        return user.username == "alice" or (user.username == "viewer" and action == "read")

c.ServerApp.identity_provider_class = Hub
c.ServerApp.authorizer_class = Owner
"""


def test_other_users_of_a_hub_are_refused(home: Path, tmp_path: Path) -> None:
    xsrf = "0123456789abcdef" * 2
    with serve(tmp_path, home, settings=HUB) as hub, Session(backend="fake_manila") as session:

        def status(user: str, method: str, path: str) -> int:
            headers = {"X-User": user, "X-XSRFToken": xsrf} if user else {"X-XSRFToken": xsrf}
            return hub.ask(method, path, headers, cookies={"_xsrf": xsrf}).status_code

        close = f"sessions/{session.session_id}/close"
        for user, may_read in {"": 403, "bob": 403, "viewer": 200, "alice": 200}.items():
            assert status(user, "GET", "sessions") == may_read, user
        for user in ("", "bob", "viewer"):
            assert status(user, "POST", close) == 403
        assert accepts(session) is True
        assert status("alice", "POST", close) == 204


def test_where_it_is_disabled_nothing_is_there(home: Path, tmp_path: Path) -> None:
    with serve(tmp_path, home, enabled=False) as server:
        assert server.ask("GET", "sessions").status_code == 404
        assert server.ask("POST", "sessions/some/close").status_code in {403, 404}


def test_a_runtime_that_comes_and_goes(tmp_path: Path, own_runtime: Path) -> None:
    nothing: dict[str, Any] = {"runtime": None, "sessions": []}
    with serve(tmp_path / "jupyter", own_runtime) as server:
        assert server.get("sessions") == nothing
        refused = server.ask("POST", "sessions/some/close")
        assert (refused.status_code, refused.json()) == (503, {"message": "No local runtime runs."})
        assert process.status() is None, "a request of a page does not start it"
        first = process.endpoint()
        assert server.get("sessions")["runtime"]["rate"] == 1.0
        process.stop()
        assert server.get("sessions") == nothing
        second = process.endpoint()
        assert server.get("sessions")["runtime"]["rate"] == 1.0
        # One that hangs is not one that is gone.
        os.kill(second.pid, signal.SIGSTOP)
        try:
            hung = server.ask("GET", "sessions")
            # The server itself answers meanwhile.
            assert server.ask("GET", "sessions/a", {}).status_code == 403
        finally:
            os.kill(second.pid, signal.SIGCONT)
        assert (hung.status_code, hung.json()["message"].count("\n")) == (503, 0)
        os.kill(second.pid, signal.SIGKILL)
        eventually(lambda: server.get("sessions") == nothing)
        log = server.log.read_text()
        for each in (first, second):
            assert each.token not in log + hung.text


def test_polls_share_answers_and_the_token_stays_inside(server: Server, home: Path) -> None:
    with ThreadPoolExecutor(24) as pages:
        answers = list(pages.map(lambda _: server.ask("GET", "sessions"), range(120)))
    assert {each.status_code for each in answers} == {200}
    found = Discovery.read(home)
    assert found is not None
    written = server.log.read_text() + "".join(str(each.headers) + each.text for each in answers)
    assert found.token not in written
    assert "Traceback" not in server.log.read_text()


def test_scripts_of_widgets_are_served(server: Server) -> None:
    folder = server.data / "nbextensions" / "some_widget"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "index.js").write_text("define([], () => 1)")
    (server.data / "secret.txt").write_text("secret")
    found = requests.get(f"{server.url}/nbextensions/some_widget/index.js", timeout=60)
    assert (found.status_code, found.text) == (200, "define([], () => 1)")
    assert "javascript" in found.headers["Content-Type"]
    anywidget = requests.get(f"{server.url}/nbextensions/anywidget/index.js", timeout=60)
    assert anywidget.status_code == 200
    for path in ("../secret.txt", "..%2fsecret.txt", "some_widget/../../secret.txt", "some_widget"):
        request = requests.Request("GET", "http://x").prepare()
        request.url = f"{server.url}/nbextensions/{path}"
        with requests.Session() as session:
            assert session.send(request, timeout=60).status_code in {403, 404}, path


NBCLASSIC = ("nbclassic==1.3.3", "nest-asyncio")


def test_beside_nbclassic_it_leaves_the_address_to_that(home: Path, tmp_path: Path) -> None:
    packages, scripts = tmp_path / "packages", tmp_path / "scripts"
    scripts.mkdir()
    (scripts / "only_here.js").write_text("define([], () => 1)")
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target"]
    subprocess.run([*install, str(packages), *NBCLASSIC], check=True)  # noqa: S603 - our own command
    variables = {
        "PYTHONPATH": str(packages),
        "JUPYTER_CONFIG_PATH": str(packages / "etc" / "jupyter"),
    }
    # A folder that nbclassic knows, and Jupyter's paths do not have.
    settings = f"c.NotebookApp.extra_nbextensions_path = [{str(scripts)!r}]"
    with serve(tmp_path / "jupyter", home, settings=settings, variables=variables) as server:
        for name in ("only_here.js", "anywidget/index.js"):
            found = requests.get(f"{server.url}/nbextensions/{name}", timeout=60)
            assert found.status_code == 200, name
        # The rest of our extension is there.
        assert server.get("sessions")["runtime"] is not None


def test_loading_it_in_the_server_imports_nothing_heavy() -> None:
    loads = (
        "import sys, jupyter_server.serverapp\n"
        "from qsession_widget.server_extension import handlers, nbextensions\n"
        "import qsession_widget.server_extension.local_sessions\n"
        "heavy = {'qiskit', 'qiskit_aer', 'numpy', 'anywidget', 'IPython', 'requests'}\n"
        "print(sorted(heavy & sys.modules.keys()))"
    )
    ran = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-c", loads], check=True, capture_output=True, text=True
    )
    assert ran.stdout.strip() == "[]"
