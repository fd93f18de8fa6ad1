"""A server of PostgreSQL for tests, with its files and its socket in a folder of its own.

`python -m tests.postgresql` installs one if there is none.
"""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import psycopg

from tests.conftest import DEADLINE_SECONDS, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

_USER = "qsession"
_WORD = "hidden-word"
"""The password of its user, which the server does not ask for on its socket."""

_SETTINGS = {
    "listen_addresses": "",
    "log_min_messages": "warning",
    "shared_buffers": "16MB",
    "max_connections": "60",
}


def programs() -> Path | None:
    """Return the folder of the newest server's programs; None if none is installed."""
    found = [each.parent for each in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    on_path = shutil.which("initdb")
    if on_path is not None:
        found.append(Path(on_path).resolve().parent)
    return max(found, default=None)


def install() -> None:
    """Install a server, where that is possible; the installer's output goes to standard error."""
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        return
    # Only the programs are wanted, not a server that runs.
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    for command in (
        ("apt-get", "update"),
        ("apt-get", "install", "--yes", "--no-install-recommends", "postgresql"),
    ):
        subprocess.run(command, check=True, stdout=sys.stderr, env=environment)  # noqa: S603 - fixed


def _runs_as() -> dict[str, Any]:
    """Return how to start its programs: they refuse to run as root."""
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "daemon"):
        try:
            found = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": found.pw_uid, "group": found.pw_gid, "extra_groups": []}
    raise LookupError("no user without rights")


class Cluster:
    """A server, and the databases in it."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder = folder
        self._settings = {**_SETTINGS, **settings, "unix_socket_directories": str(folder)}
        self._process: subprocess.Popen[bytes] | None = None
        self._as = _runs_as()
        self._numbers = itertools.count(1)
        self._names = itertools.count(1)
        if self._as:
            os.chown(folder, self._as["user"], self._as["group"])
        self._run("initdb", "--username", _USER, "--auth", "trust", "--no-sync", "-E", "UTF8")

    def _run(self, name: str, *arguments: str) -> None:
        command = [str(self._program(name)), "-D", str(self._data), *arguments]
        subprocess.run(  # noqa: S603 - ours
            command, check=True, cwd="/", stdout=subprocess.DEVNULL, **self._as
        )

    def _program(self, name: str) -> Path:
        folder = programs()
        assert folder is not None
        return folder / name

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        settings = [f"-c{name}={value}" for name, value in self._settings.items()]
        log = (self.folder / "log").open("ab")
        with log:
            self._process = subprocess.Popen(  # noqa: S603 - ours
                [str(self._program("postgres")), "-D", str(self._data), *settings],
                cwd="/",
                stdout=log,
                stderr=log,
                **self._as,
            )
        eventually(self._answers, "a server of PostgreSQL")

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url("postgres")).close()
        except psycopg.OperationalError:
            return False
        return True

    def stop(self, *, crash: bool = False) -> None:
        """Stop it; a crash loses what it has not written to its log."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT if crash else signal.SIGINT)
            self._process.wait(DEADLINE_SECONDS)
            self._process = None

    def url(self, database: str, **more: str) -> str:
        """Return the URL of a database, with a password."""
        query = {"host": str(self.folder), **more}
        words = "&".join(f"{name}={quote(value, safe='')}" for name, value in query.items())
        return f"postgresql://{_USER}:{_WORD}@/{database}?{words}"

    def new(self) -> str:
        """Return the URL of a store that is empty yet: a schema of its own."""
        name = f"store_{next(self._names)}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE SCHEMA {name}".encode())
        return self.url("postgres", options=f"-csearch_path={name}")


@contextmanager
def cluster(**settings: str) -> Iterator[Cluster]:
    """Yield a server that runs until the end of the block."""
    # Its user may not look into the folders of tests.
    folder = Path(tempfile.mkdtemp(prefix="qsession-postgresql-"))
    found = Cluster(folder, **settings)
    try:
        found.start()
        yield found
    finally:
        found.stop()
        shutil.rmtree(folder)


if __name__ == "__main__":
    if programs() is None:
        install()
    sys.stdout.write(f"{programs() or 'no PostgreSQL could be found or installed'}\n")
