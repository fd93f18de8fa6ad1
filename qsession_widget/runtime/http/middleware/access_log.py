"""The runtime's log: one line for each request, as text or JSON, with the request's id.

The id is also in the response's `X-Request-ID`, and in the `trace` of errors. Queries and headers
are not logged, since they may contain secrets.
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

from qsession_widget.wire import private_files

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = logging.getLogger(__name__)

FORMATS = ("text", "json")
REQUEST_ID = "X-Request-ID"

LOG_BYTES = 10_000_000
"""A larger log is rotated; one older log is kept."""

_BUFFERED_SECONDS = 0.1
_PATH_BYTES = 512
_STDERR = 2
_COPIED_BYTES = 2**20

_HERE = secrets.token_hex(10)
"""Prefix of request ids, different in each process."""
_numbers = itertools.count(1)

_TEXT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


@dataclass
class CurrentRequest:
    """A request that is being answered.

    Attributes:
        owner: the user, as soon as they are known.
        status: of the response; 500 until there is one.
    """

    id: str = field(default_factory=lambda: f"{_HERE}{next(_numbers):012x}")
    owner: str | None = None
    status: int = 500


_current: ContextVar[CurrentRequest | None] = ContextVar("qsession_widget_request", default=None)


def request_id() -> str:
    """Return the id of the current request; a new id outside of requests."""
    current = _current.get()
    return CurrentRequest().id if current is None else current.id


def note_owner(owner: str) -> None:
    """Note which user sent the current request."""
    current = _current.get()
    if current is not None:
        current.owner = owner


class AccessLogMiddleware:
    """Logs one line for each request."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request (ASGI)."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        current = CurrentRequest()
        _current.set(current)
        began = time.perf_counter()

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                current.status = message["status"]
                named = (REQUEST_ID.lower().encode(), current.id.encode())
                message["headers"] = [*message.get("headers", ()), named]
            await send(message)

        try:
            await self._app(scope, receive, answer)
        finally:
            _write(current, scope, (time.perf_counter() - began) * 1_000)


def path_of(scope: Scope) -> str:
    """Return a request's path for the log: without its query, quoted, and cut to a length."""
    return quote(scope["raw_path"][:_PATH_BYTES], safe="/%:@!$&'()*+,;=~-._")


def _write(current: CurrentRequest, scope: Scope, milliseconds: float) -> None:
    path = path_of(scope)
    log.info(
        "%s %s %s %s %d %.1f ms",
        current.id,
        current.owner or "-",
        scope["method"],
        path,
        current.status,
        milliseconds,
        extra={
            "fields": {
                "request_id": current.id,
                "owner": current.owner,
                "method": scope["method"],
                "path": path,
                "status": current.status,
                "ms": round(milliseconds, 1),
            }
        },
    )


class JsonFormatter(logging.Formatter):
    """Formats a record as one JSON object: `time`, `level`, `logger`, `message`, other fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Format a record."""
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
    """Rotate a log: copy it to `NAME.1`, instead of the previous copy, and empty it.

    The file itself stays, since worker processes have it open for appending as well.
    """
    aside = file.with_name(f"{file.name}.1")
    with file.open("rb") as source, private_files.open_anew(aside) as target:
        shutil.copyfileobj(source, target, _COPIED_BYTES)
    os.truncate(file, 0)


class _BufferingHandler(logging.StreamHandler[TextIO]):
    """Buffers records: writes ten times a second, and at once for warnings and errors.

    A system call for each line would take longer than formatting it. Rotates a log file that has
    become too large.

    Args:
        file: the runtime's own log file, which is rotated if stderr goes there.
    """

    def __init__(self, file: Path | None) -> None:
        super().__init__(sys.stderr)
        self._file = file if file is not None and _is_stderr(file) else None
        if isinstance(sys.stderr, TextIOWrapper):
            # By default it writes each line.
            sys.stderr.reconfigure(line_buffering=False, write_through=False)
        self._later: asyncio.TimerHandle | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Add a record to the buffer."""
        try:
            self.stream.write(self.format(record) + self.terminator)
        except Exception:  # noqa: BLE001 - as every handler does
            self.handleError(record)
            return
        loop = _running_loop() if record.levelno <= logging.INFO else None
        if loop is None:
            self.flush()
        elif self._later is None:
            self._later = loop.call_later(_BUFFERED_SECONDS, self.flush)

    def flush(self) -> None:
        """Write the buffer."""
        self._later = None
        super().flush()
        if self._file is not None and os.fstat(_STDERR).st_size > LOG_BYTES:
            try:
                put_aside(self._file)
            except OSError as error:
                # The log goes on growing; trying again at each line would take longer and longer.
                self._file = None
                self.stream.write(f"the log cannot be put aside: {error}\n")


def _is_stderr(file: Path) -> bool:
    """Whether stderr is appended to a file."""
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
        file: is rotated to `NAME.1` whenever it is larger than `LOG_BYTES`, if stderr goes there.
    """
    # The formats contain none of these.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    handler = _BufferingHandler(file)
    handler.setFormatter(JsonFormatter() if form == "json" else logging.Formatter(_TEXT))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
