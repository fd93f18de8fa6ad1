"""The overhead of an iteration, in events that can be counted."""

from __future__ import annotations

import asyncio
import json
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import requests
import uvicorn
from sqlalchemy import Engine, event

from qsession_widget.runtime import server
from qsession_widget.runtime.clock import WallClock
from qsession_widget.runtime.control import device_arbiter, worker_pool
from qsession_widget.runtime.http.app import create_app
from qsession_widget.runtime.settings import Settings
from qsession_widget.runtime.store import store
from qsession_widget.runtime.store.database import Sqlite
from qsession_widget.runtime.store.store import Store
from tests.conftest import DEADLINE_SECONDS
from tests.runtime.bench import COIN

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

TOKEN = "token"


async def test_the_servers_connections_send_at_once() -> None:
    """Otherwise a client that sends requests in a row waits 40 ms for each second packet."""

    found: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def accepted(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        theirs = writer.get_extra_info("socket")
        found.set_result(theirs.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        writer.close()

    with server._bind("127.0.0.1", 0) as listener:
        async with await asyncio.start_server(accepted, sock=listener):
            _, writer = await asyncio.open_connection(*listener.getsockname())
            writer.close()
            assert await found


class Iterating:
    """Runs jobs of a session one after the other, as our client does."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.http = requests.Session()
        self.http.headers["Authorization"] = f"Bearer {TOKEN}"

    def ask(self, method: str, path: str, **more: Any) -> Any:
        answer = self.http.request(method, self.url + path, timeout=DEADLINE_SECONDS, **more)
        assert answer.ok, answer.text
        return answer.json()

    def opens(self) -> str:
        return str(self.ask("POST", "/sessions", json={"backend": "fake_manila"})["id"])

    def iterates(self, session_id: str, key: str) -> dict[str, Any]:
        body = {
            "program_id": "sampler",
            "backend": "fake_manila",
            "session_id": session_id,
            "params": json.loads(COIN),
        }
        headers = {"Idempotency-Key": key}
        job_id = self.ask("POST", "/jobs", json=body, headers=headers)["id"]
        wait = {"Prefer": f"wait={DEADLINE_SECONDS:g}"}
        found: dict[str, Any] = self.ask("GET", f"/qsession/jobs/{job_id}/outcome", headers=wait)
        return found


@pytest.fixture
def commits() -> Iterator[list[object]]:
    """Yield a list to which each commit of an engine is added."""
    found: list[object] = []

    # SQLAlchemy knows a listener by its identity, which a bound method has for a moment only.
    def count(connection: object) -> None:
        found.append(connection)

    event.listen(Engine, "commit", count)
    yield found
    event.remove(Engine, "commit", count)


@asynccontextmanager
async def served(settings: Settings) -> AsyncIterator[str]:
    """Serve the application in this loop, and yield its URL."""
    app = create_app(
        settings,
        WallClock(),
        TOKEN,
        "0",
        Sqlite(settings.home / "runtime.db"),
        on_ready=lambda: None,
        shut_down=lambda: None,
    )
    with server._bind("127.0.0.1", 0) as listener:
        serving = uvicorn.Server(uvicorn.Config(app, log_config=None))
        task = asyncio.create_task(serving.serve(sockets=[listener]))
        try:
            host, port = listener.getsockname()
            yield f"http://{host}:{port}"
        finally:
            serving.should_exit = True
            await task


async def test_an_iteration_costs_two_commits_and_no_reading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, commits: list[object]
) -> None:
    # However long a job takes here, its start need not be stored at once.
    monkeypatch.setattr(store, "LINGER_SECONDS", 3_600.0)
    reads: list[object] = []
    real = Store._read

    async def counted(self: Store, read: Any, *arguments: Any) -> Any:
        reads.append(read)
        return await real(self, read, *arguments)

    monkeypatch.setattr(Store, "_read", counted)
    # However slow this machine is, its jobs count as short, and the index does not come between.
    monkeypatch.setattr(store, "INDEX_SECONDS", 3600)
    for module in (worker_pool, device_arbiter):
        monkeypatch.setattr(module, "STAGE_SHOWN_SECONDS", 3600)

    def iterate(url: str) -> None:
        us = Iterating(url)
        session_id = us.opens()
        us.iterates(session_id, "first")
        reads.clear()
        commits.clear()
        for number in range(5):
            found = us.iterates(session_id, str(number))
            assert found["job"]["status"] == "Completed"
            assert found["result"]
        assert not reads
        assert len(commits) == 2 * 5

    async with served(Settings(home=tmp_path, workers=1)) as url:
        await asyncio.to_thread(iterate, url)
