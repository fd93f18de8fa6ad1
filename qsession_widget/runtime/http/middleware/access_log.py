"""The runtime's log: a line for each request, as text or as JSON, with an id to find it by.

The id is in the answer's `X-Request-ID`, and in the `trace` of an answer that is an error. Queries
and headers are left out: nothing secret is in a line.
"""

from __future__ import annotations

import asyncio
import fcntl
import itertools
import json
import logging
import os
import secrets
import shutil
import sys
import time
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from io import TextIOWrapper
from typing import TYPE_CHECKING, Any, TextIO
from urllib.parse import quote

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = logging.getLogger(__name__)

FORMATS = ("text", "json")
REQUEST_ID = "X-Request-ID"

LOG_BYTES = 10_000_000
"""A log that is larger is put aside, in the place of the one before."""

_GATHERED_SECONDS = 0.1
_PATH_BYTES = 512
_STDERR = 2
_FRESH = os.O_WRONLY | os.O_CREAT | os.O_EXCL
_COPIED_BYTES = 2**20

_HERE = secrets.token_hex(10)
"""Tells this process's requests from those of others."""
_numbers = itertools.count(1)

_TEXT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


@dataclass
class Asked:
    """A request that is being answered.

    Attributes:
        owner: who asks, as soon as that is known.
        status: of the answer; 500 until there is one.
    """

    id: str = field(default_factory=lambda: f"{_HERE}{next(_numbers):012x}")
    owner: str | None = None
    status: int = 500


_asked: ContextVar[Asked | None] = ContextVar("qsession_widget_request", default=None)


def request_id() -> str:
    """Give the id of the request that is being answered; outside of one a new id."""
    asked = _asked.get()
    return Asked().id if asked is None else asked.id


def note_owner(owner: str) -> None:
    """Say whose the request is that is being answered."""
    asked = _asked.get()
    if asked is not None:
        asked.owner = owner


class AccessLogMiddleware:
    """An application with a line in the log for each of its requests."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request (ASGI)."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        asked = Asked()
        _asked.set(asked)
        began = time.perf_counter()

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                asked.status = message["status"]
                named = (REQUEST_ID.lower().encode(), asked.id.encode())
                message["headers"] = [*message.get("headers", ()), named]
            await send(message)

        try:
            await self._app(scope, receive, answer)
        finally:
            _write(asked, scope, (time.perf_counter() - began) * 1_000)


def path_of(scope: Scope) -> str:
    """Give a request's path for a line: without its query, without ends of lines, and cut."""
    return quote(scope["raw_path"][:_PATH_BYTES], safe="/%:@!$&'()*+,;=~-._")


def _write(asked: Asked, scope: Scope, milliseconds: float) -> None:
    path = path_of(scope)
    log.info(
        "%s %s %s %s %d %.1f ms",
        asked.id,
        asked.owner or "-",
        scope["method"],
        path,
        asked.status,
        milliseconds,
        extra={
            "fields": {
                "request_id": asked.id,
                "owner": asked.owner,
                "method": scope["method"],
                "path": path,
                "status": asked.status,
                "ms": round(milliseconds, 1),
            }
        },
    )


class JsonFormatter(logging.Formatter):
    """One JSON object a line: `time`, `level`, `logger`, `message`, and what else there is."""

    def format(self, record: logging.LogRecord) -> str:
        """Write a record."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


def put_aside(file: Path) -> None:
    """Keep what is in a log as `NAME.1`, in the place of the one before, and go on with none in it.

    The file itself stays: worker processes have it open as well. All of them append to it.
    """
    aside = file.with_name(f"{file.name}.1")
    aside.unlink(missing_ok=True)
    # Not readable by others, not even for a moment.
    with file.open("rb") as source, open(os.open(aside, _FRESH, 0o600), "wb") as target:  # noqa: PTH123 - opened with its mode
        shutil.copyfileobj(source, target, _COPIED_BYTES)
    os.truncate(file, 0)


class _Gathering(logging.StreamHandler[TextIO]):
    """Writes what has gathered ten times a second, and at once what is more than information.

    To hand each line to the system by itself takes longer than to put it together. A file that has
    become too large is put aside.

    Args:
        file: the runtime's own log file, which is put aside if stderr goes there.
    """

    def __init__(self, file: Path | None) -> None:
        super().__init__(sys.stderr)
        self._file = file if file is not None and _is_stderr(file) else None
        if isinstance(sys.stderr, TextIOWrapper):
            # By itself it hands over each line.
            sys.stderr.reconfigure(line_buffering=False, write_through=False)
        self._later: asyncio.TimerHandle | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Take a record."""
        try:
            self.stream.write(self.format(record) + self.terminator)
        except Exception:  # noqa: BLE001 - as every handler does
            self.handleError(record)
            return
        loop = _running_loop() if record.levelno <= logging.INFO else None
        if loop is None:
            self.flush()
        elif self._later is None:
            self._later = loop.call_later(_GATHERED_SECONDS, self.flush)

    def flush(self) -> None:
        """Write what has gathered."""
        self._later = None
        super().flush()
        if self._file is not None and os.fstat(_STDERR).st_size > LOG_BYTES:
            try:
                put_aside(self._file)
            except OSError as error:
                # It grows on; to try at each line would take longer and longer.
                self._file = None
                self.stream.write(f"the log cannot be put aside: {error}\n")


def _is_stderr(file: Path) -> bool:
    """Whether what is written to stderr is added to the end of a file."""
    try:
        appends = fcntl.fcntl(_STDERR, fcntl.F_GETFL) & os.O_APPEND
        return bool(appends) and os.path.samestat(os.fstat(_STDERR), file.stat())
    except OSError:
        return False


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def set_up(form: str, file: Path | None = None) -> None:
    """Log to stderr from now on.

    Args:
        form: one of `FORMATS`.
        file: is put aside, as `NAME.1`, whenever it is larger than `LOG_BYTES`; where stderr goes
            somewhere else, that is left alone.
    """
    # Nothing of this is in a line.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    handler = _Gathering(file)
    handler.setFormatter(JsonFormatter() if form == "json" else logging.Formatter(_TEXT))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
