"""The loop of a worker process: reads tasks from a pipe, runs them, writes answers to the pipe.

Frames are MessagePack, never pickle. A worker ends when the server does: its lifeline pipe then
closes, and the kernel ends it by a signal, which works even while Aer holds the interpreter.
"""

from __future__ import annotations

import fcntl
import logging
import os
import signal
import time
import traceback
from collections import deque
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any

from msgspec import json, msgpack

from qsession_widget.runtime import bounds
from qsession_widget.runtime.pieces import PIECE_BYTES, cut
from qsession_widget.runtime.worker import limits, lru_cache, sandbox, transpiler_plugins
from qsession_widget.runtime.worker.outcome import RejectedError
from qsession_widget.wire.results.summary import MOST_BYTES
from qsession_widget.wire.states import Stage

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection

    from qsession_widget.wire.results.summary import Summary

log = logging.getLogger(__name__)

MAX_REASON_CHARACTERS = 2_000
"""Longest reason of a failure; Qiskit's messages may print whole arrays."""

_IDLE_SECONDS = 0.5
"""How long a worker that is ready for a session waits before it gets ready for executor jobs."""

_LAST = 20_000
"""How many characters of a traceback go into the log: the last ones, with the message."""


class _OutOfMemoryError(Exception):
    """A job needs more memory than it may have."""

    def __init__(self, allowed_bytes: int) -> None:
        super().__init__(
            f"It needs more memory than the {allowed_bytes} bytes that a job may take."
            if allowed_bytes
            else "It needs more memory than this machine has."
        )


class InterimSender:
    """Sends interim results to the server, which keeps them, up to a bound.

    The ones beyond the bound come with the whole result only.

    Args:
        send: sends one.
    """

    def __init__(self, send: Callable[[str], None]) -> None:
        self._send = send
        self._characters = 0

    def __call__(self, text: str) -> None:
        """Send one more, if there is room."""
        self._characters += len(text)
        if self._characters <= bounds.INTERIM_CHARACTERS:
            self._send(text)


def main(pipe: Connection, lifeline: Connection) -> None:
    """Serve tasks until the server goes away.

    Args:
        pipe: tasks come from here and answers go here.
        lifeline: nothing ever comes from here; it closes when the server dies.
    """
    _die_with(lifeline)
    sandbox.enter()
    transpiler_plugins.use_only_qiskits_own()
    _take_lasting_memory()
    house = lru_cache.Housekeeping()
    # The server decides when a worker ends; Ctrl-C in its terminal is not meant for this process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    inbox = _Inbox(pipe)
    while True:
        try:
            task = inbox.next()
            if "warm" in task:
                _warm_up(task["warm"])
                _send(pipe, {"kind": "warmed"})
                if inbox.is_idle(_IDLE_SECONDS):
                    _get_ready_for_executor(task["warm"], inbox, house)
            elif "job_id" in task:
                house.begin()
                answer = _run(pipe, inbox, task)
                if not house.after_job(task["limits"]["memory_bytes"]):
                    # The next task gets a new process.
                    _send(pipe, {**answer, "retires": True})
                    return
                _send(pipe, answer)
            # Any other message is about a task that has ended by now.
        except (EOFError, ConnectionError):
            return
        except _OutOfMemoryError as error:
            # No later job should run in the state that the failed allocation has left.
            _send(pipe, {**_failed(str(error)), "retires": True})
            return


def _take_lasting_memory() -> None:
    from qsession_widget.runtime.worker import primitives  # noqa: PLC0415 - imports Qiskit

    primitives.take_lasting_memory()


class _StoppedError(Exception):
    """The server has cancelled the task."""


class _Inbox:
    """Messages from the server, which are also read while a task runs."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._waiting: deque[dict[str, Any]] = deque()

    def next(self) -> dict[str, Any]:
        """Wait for the next message."""
        return self._waiting.popleft() if self._waiting else self._read()

    def is_idle(self, seconds: float) -> bool:
        """Wait for a message, and return whether none came."""
        return not self._waiting and not self._pipe.poll(seconds)

    def check(self, job_id: str, seconds: float = 0.0) -> None:
        """Return after some time, unless the task is to stop before.

        Raises:
            _StoppedError: if the task is to stop.
        """
        until = time.monotonic() + seconds
        while self._pipe.poll(max(0.0, until - time.monotonic())):
            self._take(job_id)

    def until_on_device(self, job_id: str) -> None:
        """Wait until the task may go on the device.

        Raises:
            _StoppedError: if the task is to stop instead.
        """
        while not self._take(job_id):
            pass

    def _take(self, job_id: str) -> bool:
        """Handle a message, and return whether it lets the task on the device."""
        message = self._read()
        if message.get("stop") == job_id:
            raise _StoppedError
        if message.get("go") == job_id:
            return True
        if "warm" in message or "job_id" in message:
            self._waiting.append(message)
        return False

    def _read(self) -> dict[str, Any]:
        message: dict[str, Any] = msgpack.decode(self._pipe.recv_bytes())
        count = message.pop("pieces", 0)
        if count:
            # A long payload follows in pieces.
            message["params"] = b"".join(self._pipe.recv_bytes() for _ in range(count)).decode()
        return message


def _die_with(lifeline: Connection) -> None:
    descriptor = lifeline.fileno()
    signal.signal(signal.SIGIO, signal.SIG_DFL)
    fcntl.fcntl(descriptor, fcntl.F_SETOWN, os.getpid())
    flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
    fcntl.fcntl(descriptor, fcntl.F_SETFL, flags | os.O_ASYNC)
    if lifeline.poll():
        # The server died before the signal was armed.
        raise SystemExit(1)


def _failed(reason: str, traceback_text: str = "") -> dict[str, Any]:
    """Return the answer for a failed task, in text that can be stored whatever the payload held."""
    text = _sendable(reason)
    if len(text) > MAX_REASON_CHARACTERS:
        text = f"{text[:MAX_REASON_CHARACTERS]} ..."
    return {"kind": "failed", "reason": text, "traceback": _sendable(traceback_text[-_LAST:])}


def _sendable(text: str) -> str:
    # Half a surrogate pair, which JSON can carry, has no form in UTF-8.
    return text.encode(errors="replace").decode()


def _send(pipe: Connection, answer: dict[str, Any]) -> None:
    result = answer.get("result", "")
    pieces = cut(result.encode()) if len(result) > PIECE_BYTES else []
    if pieces:
        # A long result follows in pieces: the server does nothing with it as a whole.
        answer = {**answer, "result": "", "pieces": len(pieces)}
    pipe.send_bytes(msgpack.encode(answer))
    for piece in pieces:
        pipe.send_bytes(piece)


def _warm_up(device: str) -> None:
    from qsession_widget.runtime.worker import primitives, progress  # noqa: PLC0415 - imports Qiskit

    # There is no job yet whose stages could be reported.
    progress.start(lambda _stage: None, stays=False)
    try:
        primitives.warm(device)
    except Exception:
        # The first job will fail in the same way, and report it.
        log.exception("a worker cannot get ready for %s", device)


def _get_ready_for_executor(device: str, inbox: _Inbox, house: lru_cache.Housekeeping) -> None:
    """Get ready for the jobs of client-side primitives, as long as no message comes.

    Imports take a quarter of a second, and the noise of a large device as long. In between a
    message is noticed, so that a job that comes meanwhile waits for one step only.
    """
    from qsession_widget.runtime.worker import official_package, programs  # noqa: PLC0415 - as above

    try:
        for module in programs.EXECUTOR_IMPORTS:
            house.count_as_base(partial(official_package.load, module))
            if not inbox.is_idle(0):
                return
        for _ in official_package.load(programs.EXECUTOR_MODULE).warm(device):
            if not inbox.is_idle(0):
                return
    except Exception:
        # The first job will fail in the same way, and report it.
        log.exception("a worker cannot get ready for executor jobs on %s", device)


def _run(pipe: Connection, inbox: _Inbox, task: dict[str, Any]) -> dict[str, Any]:
    # The server imports this module, and must not import Qiskit with it.
    from qsession_widget.runtime.worker import programs, progress  # noqa: PLC0415 - imports Qiskit

    began = time.monotonic()
    lru_cache.start()
    allowed = limits.Limits(**task["limits"])
    job_id = task["job_id"]

    def tell(stage: Stage) -> None:
        _send(pipe, {"kind": "reached", "stage": stage})
        if task["asks"] and stage is Stage.ON_DEVICE:
            # Another job may be on the device: the server says when it is free.
            inbox.until_on_device(job_id)
        else:
            inbox.check(job_id)

    send_interim = InterimSender(lambda text: _send(pipe, {"kind": "interim", "text": text}))

    def on_interim(text: str) -> None:
        send_interim(text)
        # Between two pubs nothing is half done, so that the caches stay valid.
        inbox.check(job_id)

    def on_estimate(seconds: float, by: str) -> None:
        _send(pipe, {"kind": "expected", "seconds": seconds, "by": by})

    progress.start(tell, stays=task["min_seconds"] > 0, on_estimate=on_estimate)
    try:
        with allowed.on_memory():
            outcome = programs.run(task, on_interim=on_interim)
        inbox.check(job_id, task["min_seconds"] - (time.monotonic() - began))
    except _StoppedError:
        return {"kind": "stopped"}
    # A user's circuit may fail anywhere in Qiskit or Aer.
    except Exception as error:
        if limits.is_out_of_memory(error):
            raise _OutOfMemoryError(allowed.memory_bytes) from error
        if isinstance(error, RejectedError):
            return _failed(str(error))
        reason = f"{type(error).__name__}: {getattr(error, 'message', None) or error}"
        return _failed(reason, traceback.format_exc())
    # JSON whose non-ASCII characters are escaped: one byte for each character.
    size = len(outcome.result)
    if allowed.result_bytes and size > allowed.result_bytes:
        return _failed(
            f"Its result has {size} bytes; this runtime keeps {allowed.result_bytes} "
            "(--max-result-bytes). Ask for fewer shots or pubs at once."
        )
    progress.leave_device()
    return {
        "kind": "done",
        "result": outcome.result,
        "busy_seconds": outcome.busy_seconds,
        "cache": asdict(lru_cache.figures),
        "summary": None if outcome.summary is None else _encoded(outcome.summary),
    }


def _encoded(summary: Summary) -> str | None:
    text = json.encode(summary.document).decode()
    return text if len(text) <= MOST_BYTES else None
