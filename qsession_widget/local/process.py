"""Finds the local runtime's process, or starts it.

The process announces itself in a small file (`wire.discovery`), which a probe over HTTP confirms.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import uuid
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import requests
from filelock import FileLock, Timeout
from requests.exceptions import ChunkedEncodingError

from qsession_widget.errors import RuntimeStartError, ServiceUnavailableError
from qsession_widget.local.ibm_client import Connection
from qsession_widget.support import forking
from qsession_widget.transport.auth import BearerAuth
from qsession_widget.transport.http import Endpoint, Transport
from qsession_widget.transport.proof_adapter import ProvenAdapter
from qsession_widget.wire import environment, private_files
from qsession_widget.wire.discovery import HOME_VARIABLE, LOG_NAME, Discovery, home
from qsession_widget.wire.fields import API_PREFIX, EXTRA

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

START_DEADLINE_SECONDS = 30.0
ALREADY_RUNNING_STATUS = 3
"""Exit status of a runtime that finds another one holding the folder."""

_POLL_SECONDS = 0.05
_PAUSE_BETWEEN_STARTS_SECONDS = 0.5
_PROBE_TIMEOUT_SECONDS = 2.0
_STOP_TIMEOUT_SECONDS = 10.0
_STOP_ATTEMPTS = 3
_ADVANCE_SECONDS = 3_600.0
_LOG_LINES = 12
_LOG_BYTES = 10_000_000
"""A log that is larger is put aside at the next start, in the place of the one before."""

_starting = forking.Turn()
_children: list[subprocess.Popen[bytes]] = []
"""What this process started: kept so that a dead one is reaped and does not stay as a zombie."""


def endpoint(
    *, start: bool = True, revive_only: bool = False, folder: Path | None = None
) -> Discovery:
    """Find the local runtime, and start it where it does not run.

    Args:
        start: whether to start it.
        revive_only: start it only where it died, and not where it was ended or never ran.
        folder: where it keeps its files; None is `wire.discovery.home()`.

    Raises:
        RuntimeStartError: where it cannot be started; the message holds the end of its log.
        ServiceUnavailableError: where it does not run and is not to be started.
    """
    folder = folder or home()
    with _usable(folder):
        found = _answering(folder)
        if found is not None:
            return found
        if not start or (revive_only and not _died(folder)):
            raise ServiceUnavailableError(f"no local runtime answers for {folder}")
        private_files.make_folder(folder)
        return _started(folder)


def _started(folder: Path) -> Discovery:
    try:
        # The first lock is for our threads, the second for everybody's processes.
        with _starting, _lock(folder / "start.lock", START_DEADLINE_SECONDS):
            return _answering(folder) or _start(folder)
    except Timeout as error:
        raise RuntimeStartError(
            f"another process has been starting the local runtime in {folder} for more than "
            f"{START_DEADLINE_SECONDS:.0f} s"
        ) from error


def connection(*, folder: Path | None = None) -> Connection:
    """Give what IBM's own client needs to use the local runtime, which is started if need be.

    Args:
        folder: where it keeps its files; None is `wire.discovery.home()`.

    Raises:
        RuntimeStartError: where it cannot be started.
    """
    return Connection(endpoint(folder=folder), lambda: endpoint(revive_only=True, folder=folder))


def official_service(*, folder: Path | None = None) -> Any:
    """Give a `QiskitRuntimeService` of qiskit-ibm-runtime that uses the local runtime.

    It is the genuine class, and this process's accounts at IBM are left alone. Where the runtime
    was killed it is started again, as for clients of ours; where it was stopped and started again
    the service finds it at its new address.

    Args:
        folder: where the runtime keeps its files; None is `wire.discovery.home()`.

    Raises:
        RuntimeStartError: where the runtime cannot be started.
    """
    return connection(folder=folder).service()


def status(*, folder: Path | None = None) -> dict[str, Any] | None:
    """Ask the local runtime about itself.

    Returns:
        The JSON of GET /qsession with `url` and `pid` added; None where no runtime answers.
    """
    folder = folder or home()
    with _usable(folder):
        found = Discovery.read(folder)
    if found is None:
        return None
    try:
        return {**_ask(found), "url": found.url, "pid": found.pid}
    except (requests.RequestException, ValueError):
        return None


def stop(*, folder: Path | None = None, timeout_seconds: float = START_DEADLINE_SECONDS) -> bool:
    """End the local runtime and wait until it is gone.

    Returns:
        True if it was running, False if there was nothing to end.

    Raises:
        ServiceUnavailableError: where it does not end in time.
    """
    folder = folder or home()
    with _usable(folder):
        found = _answering(folder)
        if found is None:
            if _died(folder):
                # Whoever waits for it would start it again.
                Discovery.path(folder).unlink(missing_ok=True)
            return False
    late = f"the local runtime (process {found.pid}) did not end"
    try:
        _ask_to_end(folder, found)
        # The process holds this lock for its whole life: who gets it knows that it is gone.
        with _lock(folder / "server.lock", timeout_seconds):
            return True
    except requests.RequestException as error:
        raise ServiceUnavailableError(f"{late}: {error}") from error
    except Timeout as error:
        raise ServiceUnavailableError(f"{late} in {timeout_seconds:.0f} s") from error


def _ask_to_end(folder: Path, found: Discovery) -> None:
    """Have a runtime end. An answer that is lost says nothing of whether it does."""
    for attempt in range(1, _STOP_ATTEMPTS + 1):
        try:
            _send("POST", found, "/shutdown", _STOP_TIMEOUT_SECONDS).raise_for_status()
        except (requests.ConnectionError, requests.Timeout, ChunkedEncodingError):
            # It may have ended before it had answered. Otherwise asking again does no harm.
            if attempt == _STOP_ATTEMPTS and _answering(folder) == found:
                raise
        else:
            return


def advance_clock(seconds: float, *, folder: Path | None = None) -> dict[str, Any]:
    """Let time pass on a local runtime whose clock is virtual.

    Args:
        seconds: how much.
        folder: where it keeps its files; None is `wire.discovery.home()`.

    Returns:
        The JSON of GET /qsession/clock: `kind`, `now`, `rate`.

    Raises:
        ServiceUnavailableError: where no local runtime answers.
        ServiceError: where it does not do that; the message is the runtime's own.
    """
    folder = folder or home()
    found = _answering(folder)
    if found is None:
        raise ServiceUnavailableError(f"no local runtime answers for {folder}")
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
    """Give the runtime of a folder if it answers and is what it says it is."""
    found = Discovery.read(folder)
    try:
        if found is None:
            return None
        _ask(found)
    except (requests.RequestException, ValueError):
        return None
    # It may have ended since the file was read, and another one have begun.
    return found if Discovery.read(folder) == found else None


def _died(folder: Path) -> bool:
    """Whether a runtime has left its file behind: one that ends takes the file along."""
    if Discovery.read(folder) is None:
        return False
    try:
        # The process holds this lock for its whole life: one that is ending has it still.
        with _lock(folder / "server.lock", 0):
            return Discovery.read(folder) is not None
    except Timeout:
        return False


def _ask(found: Discovery) -> dict[str, Any]:
    answer = _send("GET", found, "", _PROBE_TIMEOUT_SECONDS)
    answer.raise_for_status()
    body = answer.json()
    if not isinstance(body, dict) or "features" not in body:
        raise ValueError("not a local runtime")
    return body


def _send(
    method: str, found: Discovery, path: str, timeout: float, **body: Any
) -> requests.Response:
    with requests.Session() as session:
        # Neither proxies nor .netrc may get between us and loopback.
        session.trust_env = False
        # After a crash the port may be anybody's.
        session.mount("http://", ProvenAdapter())
        return session.request(
            method,
            f"{found.url}{API_PREFIX}/{EXTRA}{path}",
            auth=BearerAuth(found.token),
            timeout=timeout,
            **body,
        )


@contextmanager
def _usable(folder: Path) -> Iterator[None]:
    """Say in our words that a folder cannot be the runtime's."""
    try:
        yield
    except (ServiceUnavailableError, Timeout):
        # Both are OSErrors too.
        raise
    except OSError as error:
        raise RuntimeStartError(
            f"the folder of the local runtime, {folder}, cannot be used: "
            f"{error.strerror or error}; {HOME_VARIABLE} names another one"
        ) from error


def _lock(path: Path, timeout_seconds: float) -> FileLock:
    return FileLock(
        path, timeout=timeout_seconds, mode=private_files.FILE_MODE, poll_interval=_POLL_SECONDS
    )


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
            # Somebody else's is on its way up or down: wait for it, or take its place.
            time.sleep(_PAUSE_BETWEEN_STARTS_SECONDS)
            child = _spawn(folder, log)
        elif exit_status is not None:
            raise RuntimeStartError(
                f"the local runtime ended with status {exit_status}; {_end_of(log)}"
            )
        time.sleep(_POLL_SECONDS)
    raise RuntimeStartError(
        f"the local runtime did not answer within {START_DEADLINE_SECONDS:.0f} s; {_end_of(log)}"
    )


def _spawn(folder: Path, log: Path) -> subprocess.Popen[bytes]:
    _children[:] = [child for child in _children if child.poll() is None]
    if log.exists() and log.stat().st_size > _LOG_BYTES:
        log.replace(log.with_name(f"{log.name}.1"))
    with private_files.open_to_append(log) as output:
        child = subprocess.Popen(  # noqa: S603 - our own interpreter and module, no shell
            # -P keeps files of the present folder from passing for modules of the runtime.
            [
                *(sys.executable, "-P", "-m", "qsession_widget.runtime"),
                # One that died comes back as it was.
                *("--home", str(folder.absolute()), "--revive"),
            ],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=environment.for_runtime(os.environ),
            # Ctrl-C in this process is not meant for the runtime, which outlives it.
            start_new_session=True,
        )
    _children.append(child)
    return child


def _end_of(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()[-_LOG_LINES:]
    return "\n".join([f"the end of its log, {log}:", *lines])
