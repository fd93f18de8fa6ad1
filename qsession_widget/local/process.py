"""Finds, starts and stops the process of the local runtime.

The process announces itself in a small file (`wire.discovery`), which an HTTP request confirms.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from contextlib import closing, contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qsession_widget.errors import (
    RuntimeElsewhereError,
    RuntimeStartError,
    ServiceUnavailableError,
)
from qsession_widget.local.ibm_client import Connection
from qsession_widget.support import forking
from qsession_widget.transport.answers import BrokenError, UnsendableError
from qsession_widget.transport.auth import BearerAuth
from qsession_widget.transport.http import Endpoint, Transport
from qsession_widget.transport.pool import ConnectionPool
from qsession_widget.wire import environment, private_files
from qsession_widget.wire.discovery import HOME_VARIABLE, LOG_NAME, Discovery, home
from qsession_widget.wire.fields import API_PREFIX, EXTRA

if TYPE_CHECKING:
    from collections.abc import Iterator

    from qsession_widget.transport.answers import Answer

START_DEADLINE_SECONDS = 30.0
ALREADY_RUNNING_STATUS = 3
"""Exit status of a runtime whose folder is locked by another one."""

_POLL_SECONDS = 0.05
_PAUSE_BETWEEN_STARTS_SECONDS = 0.5
_PROBE_TIMEOUT_SECONDS = 2.0
_STOP_TIMEOUT_SECONDS = 10.0
_STOP_ATTEMPTS = 3
_ADVANCE_SECONDS = 3_600.0
_LOG_LINES = 12
_LOG_BYTES = 10_000_000
"""A larger log is moved aside at the next start, replacing the one moved before."""

_starting = forking.Turn()
_children: list[subprocess.Popen[bytes]] = []
"""The processes that this one started, kept so that dead ones are reaped."""


def endpoint(
    *, start: bool = True, revive_only: bool = False, folder: Path | None = None
) -> Discovery:
    """Find the local runtime, and start it if it is not running.

    Args:
        start: whether to start it.
        revive_only: start it only if it died, not if it was stopped or never ran.
        folder: where it keeps its files; None is `wire.discovery.home()`.

    Raises:
        RuntimeElsewhereError: if it runs on another machine that has the same folder.
        RuntimeStartError: if it cannot be started; the message holds the end of its log.
        ServiceUnavailableError: if it is not running and must not be started.
    """
    folder = folder or home()
    with _usable(folder):
        found = _answering(folder)
        if found is not None:
            return found
        _refuse_elsewhere(folder)
        if not start or (revive_only and not _died(folder)):
            raise _none_answers(folder)
        private_files.make_folder(folder)
        return _started(folder)


def _started(folder: Path) -> Discovery:
    try:
        # The first lock is for the threads of this process, the second for all processes.
        with _starting, _lock(folder / "start.lock", START_DEADLINE_SECONDS):
            found = _answering(folder)
            if found is not None:
                return found
            _refuse_elsewhere(folder)
            return _start(folder)
    except _LockedError as error:
        raise RuntimeStartError(
            f"another process has been starting the local runtime in {folder} for more than "
            f"{START_DEADLINE_SECONDS:.0f} s"
        ) from error


def refuse_elsewhere(*, folder: Path | None = None) -> None:
    """Do nothing, unless the local runtime runs on another machine that has the same folder.

    Raises:
        RuntimeElsewhereError: if it does; the message names the machine.
    """
    folder = folder or home()
    with _usable(folder):
        _refuse_elsewhere(folder)


def _refuse_elsewhere(folder: Path) -> None:
    """Raise an error for a runtime that does not answer here and lives on another machine."""
    found = Discovery.read(folder)
    if found is None or not found.elsewhere:
        return
    # The process holds the lock as long as it lives, but not each file server tells others.
    if found.is_renewed(folder) or _is_locked(folder / "server.lock"):
        raise RuntimeElsewhereError(found.sentence(folder), host=found.host)


def connection(*, folder: Path | None = None) -> Connection:
    """Return the settings of IBM's own client for the local runtime, which is started if needed.

    Args:
        folder: where it keeps its files; None is `wire.discovery.home()`.

    Raises:
        RuntimeStartError: if it cannot be started.
    """
    return Connection(endpoint(folder=folder), lambda: endpoint(revive_only=True, folder=folder))


def official_service(*, folder: Path | None = None) -> Any:
    """Return a `QiskitRuntimeService` of qiskit-ibm-runtime that uses the local runtime.

    It is the genuine class, and this process's accounts at IBM are not affected. If the runtime is
    killed, it is started again, as for our own client. If it is stopped and started again, the
    service finds it at its new address.

    Args:
        folder: where the runtime keeps its files; None is `wire.discovery.home()`.

    Raises:
        RuntimeStartError: if the runtime cannot be started.
    """
    return connection(folder=folder).service()


def status(*, folder: Path | None = None) -> dict[str, Any] | None:
    """Return the local runtime's description of itself.

    Returns:
        The JSON of GET /qsession with `url` and `pid` added; None if no runtime answers.
    """
    folder = folder or home()
    with _usable(folder):
        found = Discovery.read(folder)
    if found is None:
        return None
    try:
        return {**_ask(found), "url": found.url, "pid": found.pid}
    except (BrokenError, UnsendableError, ValueError):
        return None


def stop(*, folder: Path | None = None, timeout_seconds: float = START_DEADLINE_SECONDS) -> bool:
    """Stop the local runtime, and wait until its process has ended.

    Returns:
        True if it was running, False if there was nothing to stop.

    Raises:
        RuntimeElsewhereError: if it runs on another machine that has the same folder.
        ServiceUnavailableError: if it does not end in time.
    """
    folder = folder or home()
    with _usable(folder):
        found = _answering(folder)
        if found is None:
            _refuse_elsewhere(folder)
            if _died(folder):
                # Clients that wait for it would start it again.
                Discovery.path(folder).unlink(missing_ok=True)
                return False
            return _stop_unanswering(folder, timeout_seconds)
    late = f"the local runtime (process {found.pid}) did not end"
    try:
        _ask_to_end(folder, found)
        # The process holds this lock as long as it lives: getting it proves that it has ended.
        with _lock(folder / "server.lock", timeout_seconds):
            return True
    except (BrokenError, UnsendableError) as error:
        raise ServiceUnavailableError(f"{late}: {error}") from error
    except _LockedError as error:
        raise ServiceUnavailableError(f"{late} in {timeout_seconds:.0f} s") from error


def _stop_unanswering(folder: Path, timeout_seconds: float) -> bool:
    """End a runtime that runs but does not answer this release, if there is one."""
    found = running(folder)
    if found is None:
        return False
    os.kill(found.pid, signal.SIGTERM)
    try:
        with _lock(folder / "server.lock", timeout_seconds):
            return True
    except _LockedError as error:
        raise ServiceUnavailableError(
            f"the local runtime (process {found.pid}) did not end in {timeout_seconds:.0f} s"
        ) from error


def running(folder: Path) -> Discovery | None:
    """Return the discovery file of a folder's runtime if its process still runs.

    It need not answer: it may hang, or be of a release that cannot prove its identity.
    """
    found = Discovery.read(folder)
    if found is not None and found.elsewhere:
        # Its number is another process's here.
        return None
    try:
        command = None if found is None else Path(f"/proc/{found.pid}/cmdline").read_bytes()
    except OSError:
        return None
    # The number may be another process's by now.
    return found if command is not None and b"qsession_widget.runtime\0" in command else None


def _ask_to_end(folder: Path, found: Discovery) -> None:
    """Ask a runtime to end. If the answer is lost, it may or may not have ended."""
    for attempt in range(1, _STOP_ATTEMPTS + 1):
        try:
            _send("POST", found, "/shutdown", _STOP_TIMEOUT_SECONDS).check()
        except BrokenError:
            # It may have ended before it had answered. Otherwise asking again does no harm.
            if attempt == _STOP_ATTEMPTS and _answering(folder) == found:
                raise
        else:
            return


def advance_clock(seconds: float, *, folder: Path | None = None) -> dict[str, Any]:
    """Advance the clock of a local runtime whose clock is virtual.

    Args:
        seconds: by how much.
        folder: where it keeps its files; None is `wire.discovery.home()`.

    Returns:
        The JSON of GET /qsession/clock: `kind`, `now`, `rate`.

    Raises:
        ServiceUnavailableError: if no local runtime answers.
        ServiceError: if its clock is not virtual; the message is the runtime's own.
    """
    folder = folder or home()
    found = _answering(folder)
    if found is None:
        raise _none_answers(folder)
    endpoint = Endpoint(f"{found.url}{API_PREFIX}/{EXTRA}", BearerAuth(found.token))
    transport = Transport(endpoint, honours_keys=True, proven=True)
    with closing(transport):
        answer = transport.request(
            "POST",
            "/clock",
            body={"advance_seconds": seconds},
            key=str(uuid.uuid4()),
            held_seconds=_ADVANCE_SECONDS,
        )
        time_there: dict[str, Any] = answer.json()
    return time_there


def _answering(folder: Path) -> Discovery | None:
    """Return the runtime of a folder if it answers and proves its identity."""
    found = Discovery.read(folder)
    try:
        if found is None:
            return None
        _ask(found)
    except (BrokenError, UnsendableError, ValueError):
        return None
    # It may have ended since the file was read, and another one may have started.
    return found if Discovery.read(folder) == found else None


def _died(folder: Path) -> bool:
    """Whether a runtime died and left its file behind: one that is stopped removes it."""
    if Discovery.read(folder) is None:
        return False
    try:
        # The process holds this lock as long as it lives, so one that is stopping still has it.
        with _lock(folder / "server.lock", 0):
            return Discovery.read(folder) is not None
    except _LockedError:
        return False


def _is_locked(path: Path) -> bool:
    try:
        with _lock(path, 0):
            return False
    except _LockedError:
        return True


def _ask(found: Discovery) -> dict[str, Any]:
    body = _send("GET", found, "", _PROBE_TIMEOUT_SECONDS).check().json()
    if not isinstance(body, dict) or "features" not in body:
        raise ValueError("not a local runtime")
    return body


def _send(method: str, found: Discovery, path: str, seconds: float) -> Answer:
    # After a crash another process may have the port.
    with ConnectionPool(found.url, proven=True) as connections:
        return connections.request(
            method,
            f"{found.url}{API_PREFIX}/{EXTRA}{path}",
            headers={},
            auth=BearerAuth(found.token),
            timeout=(seconds, seconds),
        )


@contextmanager
def _usable(folder: Path) -> Iterator[None]:
    """Raise our own error for a folder that the runtime cannot use."""
    try:
        yield
    except (ServiceUnavailableError, _LockedError):
        # Both are OSErrors too.
        raise
    except OSError as error:
        raise RuntimeStartError(
            f"the folder of the local runtime, {folder}, cannot be used: "
            f"{error.strerror or error}; {HOME_VARIABLE} names another one"
        ) from error


class _LockedError(TimeoutError):
    """Another process holds the lock."""


@contextmanager
def _lock(path: Path, timeout_seconds: float) -> Iterator[None]:
    """Hold a lock during a block.

    Raises:
        _LockedError: if it is not free in time.
    """
    from filelock import FileLock, Timeout  # noqa: PLC0415 - not needed where a runtime answers

    lock = FileLock(path, mode=private_files.FILE_MODE)
    try:
        lock.acquire(timeout_seconds, poll_interval=_POLL_SECONDS)
    except Timeout as error:
        raise _LockedError(str(error)) from None
    try:
        yield
    finally:
        lock.release()


def _start(folder: Path) -> Discovery:
    log = folder / LOG_NAME
    deadline = time.monotonic() + START_DEADLINE_SECONDS
    child = _spawn(folder, log)
    while time.monotonic() < deadline:
        exit_status = child.poll()
        found = _answering(folder)
        if found is not None:
            return found
        if exit_status == ALREADY_RUNNING_STATUS:
            # Another process's runtime is starting or stopping: wait for it, or start one after it.
            _refuse_elsewhere(folder)
            other = running(folder)
            if other is not None and other.version != version("qsession-widget"):
                raise RuntimeStartError(_in_the_way(folder, other))
            time.sleep(_PAUSE_BETWEEN_STARTS_SECONDS)
            child = _spawn(folder, log)
        elif exit_status is not None:
            raise RuntimeStartError(
                f"the local runtime ended with status {exit_status}; {_end_of(log)}"
            )
        time.sleep(_POLL_SECONDS)
    other = running(folder)
    if other is not None and other.pid != child.pid:
        raise RuntimeStartError(_in_the_way(folder, other))
    raise RuntimeStartError(
        f"the local runtime did not answer within {START_DEADLINE_SECONDS:.0f} s; {_end_of(log)}"
    )


def _in_the_way(folder: Path, other: Discovery) -> str:
    return (
        f"the local runtime in {folder} (process {other.pid}, release {other.version}) does not "
        "answer this release: end it with `qsession stop`, and a new one will start"
    )


def _spawn(folder: Path, log: Path) -> subprocess.Popen[bytes]:
    _children[:] = [child for child in _children if child.poll() is None]
    if log.exists() and log.stat().st_size > _LOG_BYTES:
        log.replace(log.with_name(f"{log.name}.1"))
    with private_files.open_to_append(log) as output:
        child = subprocess.Popen(  # noqa: S603 - our own interpreter and module, no shell
            # -P keeps files of the current folder from being imported as modules.
            [
                *(sys.executable, "-P", "-m", "qsession_widget.runtime"),
                # A runtime that died is started again with its settings.
                *("--home", str(folder.absolute()), "--revive"),
            ],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=environment.for_runtime(os.environ),
            # Ctrl-C in this process must not stop the runtime, which outlives it.
            start_new_session=True,
        )
    _children.append(child)
    return child


def _end_of(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()[-_LOG_LINES:]
    return "\n".join([f"the end of its log, {log}:", *lines])


def _none_answers(folder: Path) -> ServiceUnavailableError:
    return ServiceUnavailableError(
        f"no local runtime answers for {folder}; the first session starts one"
    )
