"""The folder of the local runtime, and the discovery file by which clients find it."""

from __future__ import annotations

import json
import os
import socket
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path

from qsession_widget.errors import RuntimeStartError
from qsession_widget.wire import private_files

HOME_VARIABLE = "QSESSION_HOME"
HOST_VARIABLE = "QSESSION_HOST"
RENEWED_SECONDS = 10.0
"""How often a runtime in a folder that machines share shows that it lives."""
LASTS_SECONDS = 60.0
"""After how long without that it has died."""
_ROOT = 0

LOG_NAME = "runtime.log"
"""Log of a runtime that was started by a client, in its folder."""


def home() -> Path:
    """Return the folder of the local runtime: `$QSESSION_HOME`, or the user's data folder.

    Raises:
        RuntimeStartError: if the variable is not an absolute path: each program would look for the
            runtime below its own working directory.
    """
    named = os.environ.get(HOME_VARIABLE)
    if not named:
        import platformdirs

        return platformdirs.user_data_path("qsession-widget")
    path = Path(named)
    if not path.is_absolute():
        raise RuntimeStartError(
            f"{HOME_VARIABLE}={named!r} is not an absolute path, as it has to be: write "
            f"{os.path.abspath(os.path.expanduser(named))!r}"  # noqa: PTH100, PTH111 - never raises
        )
    return path


def this_host() -> str:
    """Return the name of this machine: `$QSESSION_HOST`, or its host name."""
    return os.environ.get(HOST_VARIABLE) or socket.gethostname()


@dataclass(frozen=True)
class Discovery:
    """How to reach a running local runtime.

    Attributes:
        url: root of its HTTP server, for example `http://127.0.0.1:41234`.
        pid: id of its process.
        version: of the package that it runs.
        token: the administrator's bearer token.
        public_url: root of the same server for other machines; empty if there is none.
        certificate: path of the certificate that it has there; empty if there is none.
        host: name of its machine; empty in the file of an older release.
        shared: whether the folder is on a network file system. Locks may not reach other machines
            there, so the runtime renews its file every `RENEWED_SECONDS`.
    """

    url: str
    pid: int
    version: str
    token: str = field(repr=False)
    public_url: str = ""
    certificate: str = ""
    host: str = ""
    shared: bool = False

    @staticmethod
    def path(folder: Path) -> Path:
        """Return the file's path in a runtime's folder."""
        return folder / "runtime.json"

    @classmethod
    def read(cls, folder: Path) -> Discovery | None:
        """Read the file; None if it does not exist, or cannot be parsed.

        A file that another user of the machine has written is ignored: it would send all requests
        to that user.

        Raises:
            OSError: if it cannot be read.
        """
        try:
            with cls.path(folder).open() as file:
                if os.fstat(file.fileno()).st_uid not in {os.geteuid(), _ROOT}:
                    return None
                found = json.load(file)
            return cls(
                url=str(found["url"]),
                pid=int(found["pid"]),
                version=str(found["version"]),
                token=str(found["token"]),
                public_url=str(found.get("public_url", "")),
                certificate=str(found.get("certificate", "")),
                host=str(found.get("host", "")),
                shared=found.get("shared") is True,
            )
        except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError):
            return None

    @property
    def elsewhere(self) -> bool:
        """Whether it says another machine: or this one, by the name that it had then."""
        return bool(self.host) and self.host != this_host()

    def sentence(self, folder: Path) -> str:
        """Return a message for programs on other machines than the runtime's."""
        way = (
            f"connect to {self.public_url} with a user's token"
            if self.public_url
            else "run your program there"
        )
        return (
            f"the local runtime of {folder} runs on {self.host}, and this machine is "
            f"{this_host()}: {way}, or set {HOME_VARIABLE} to another folder for a runtime here"
        )

    def is_renewed(self, folder: Path) -> bool:
        """Whether the runtime of a shared folder has shown lately that it lives.

        Raises:
            OSError: if the folder cannot be written.
        """
        if not self.shared:
            return False
        # The clocks of two machines differ: both times are the file server's.
        handle, name = tempfile.mkstemp(dir=folder, prefix=".now-")
        now = os.fstat(handle).st_mtime
        os.close(handle)
        Path(name).unlink()
        try:
            # Opening asks the file server: what a machine remembers may be a minute old.
            with self.path(folder).open() as file:
                return now - os.fstat(file.fileno()).st_mtime < LASTS_SECONDS
        except FileNotFoundError:
            return False

    def renew(self, folder: Path) -> bool:
        """Show that the runtime lives.

        Returns:
            False if the file is another runtime's by now.

        Raises:
            OSError: if it cannot be read or written.
        """
        found = self.read(folder)
        if found is None:
            self.write(folder)
        elif found == self:
            os.utime(self.path(folder))
        else:
            return False
        return True

    def write(self, folder: Path) -> None:
        """Write the file atomically, readable by its owner only."""
        private_files.make_folder(folder)
        private_files.write(self.path(folder), json.dumps(asdict(self)).encode())
