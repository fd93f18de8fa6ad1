"""A real HTTP server for one test: a Starlette app on uvicorn, on a thread, on a free port."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import uvicorn
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from starlette.requests import Request


class Script:
    """An app that returns the responses of a list in turn, and records the requests."""

    def __init__(self, *answers: Response | Callable[[Request], Response]) -> None:
        self.answers = list(answers)
        self.asked: list[Request] = []
        self.bodies: list[bytes] = []

    async def answer(self, request: Request) -> Response:
        self.asked.append(request)
        self.bodies.append(await request.body())
        # The last response is repeated.
        given = self.answers[0] if len(self.answers) == 1 else self.answers.pop(0)
        return given if isinstance(given, Response) else given(request)

    @property
    def app(self) -> Starlette:
        methods = ["GET", "POST", "PUT", "PATCH", "DELETE"]
        return Starlette(routes=[Route("/{path:path}", self.answer, methods=methods)])


@contextmanager
def serving(app: Starlette) -> Iterator[str]:
    """Serve an app, and yield its root URL."""
    # With an explicit protocol asyncio sends responses at once; else each takes 40 ms.
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.bind(("127.0.0.1", 0))
    listening.listen()
    port = listening.getsockname()[1]
    server = uvicorn.Server(
        uvicorn.Config(app, log_level="error", lifespan="off", date_header=False)
    )
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()
        listening.close()


def unused_address() -> str:
    """Return an address at which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    return f"http://127.0.0.1:{port}"
