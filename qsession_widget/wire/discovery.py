"""The folder of the local runtime, and the discovery file by which clients find it."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path

from qsession_widget.errors import RuntimeStartError
from qsession_widget.wire import private_files

HOME_VARIABLE = "QSESSION_HOME"
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
    """

    url: str
    pid: int
    version: str
    token: str = field(repr=False)
    public_url: str = ""
    certificate: str = ""

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
            )
        except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError):
            return None

    def write(self, folder: Path) -> None:
        """Write the file atomically, readable by its owner only."""
        private_files.make_folder(folder)
        private_files.write(self.path(folder), json.dumps(asdict(self)).encode())
