"""Where the local runtime keeps its files, and the small file through which it is found."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path

import platformdirs

HOME_VARIABLE = "QSESSION_HOME"

LOG_NAME = "runtime.log"
"""Name of the log of a runtime that a client has started, in its folder."""


def home() -> Path:
    """Give the one folder of the local runtime: `$QSESSION_HOME`, or the user's data folder."""
    named = os.environ.get(HOME_VARIABLE)
    return Path(named) if named else platformdirs.user_data_path("qsession-widget")


@dataclass(frozen=True)
class Discovery:
    """How to reach a running local runtime.

    Attributes:
        url: root of its HTTP server, for example `http://127.0.0.1:41234`.
        pid: its process.
        version: version of the package that it runs.
        token: the administrator's bearer token.
        public_url: root of the same server for other machines; empty where there is none.
    """

    url: str
    pid: int
    version: str
    token: str = field(repr=False)
    public_url: str = ""

    @staticmethod
    def path(folder: Path) -> Path:
        """Give the file's place in a runtime's folder."""
        return folder / "runtime.json"

    @classmethod
    def read(cls, folder: Path) -> Discovery | None:
        """Read the file, None where there is none, or where it cannot be understood."""
        try:
            found = json.loads(cls.path(folder).read_text())
            return cls(
                url=str(found["url"]),
                pid=int(found["pid"]),
                version=str(found["version"]),
                token=str(found["token"]),
                public_url=str(found.get("public_url", "")),
            )
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None

    def write(self, folder: Path) -> None:
        """Write the file in one step, readable by its owner only."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        # mkstemp makes the file with mode 0600, so the token is never readable by others.
        handle, name = tempfile.mkstemp(dir=folder, prefix=".runtime-")
        with os.fdopen(handle, "w") as file:
            json.dump(asdict(self), file)
        Path(name).replace(self.path(folder))
