"""A real Jupyter server with the extension, in a folder of its own."""

from __future__ import annotations

import json
import os
import secrets
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import requests

from tests.conftest import DEADLINE_SECONDS, answers_at, free_port, served

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT = Path(__file__).parents[2]
NAME = "qsession_widget.server_extension"
LEFT_OUT = ("jupyterlab", "jupyter_lsp", "jupyter_server_terminals", "notebook", "notebook_shim")
"""Other extensions of this environment, which take seconds to load."""


@dataclass(frozen=True)
class Server:
    """A running Jupyter server.

    Attributes:
        url: its root, with a base URL as on a hub.
        log: what it writes.
    """

    url: str
    token: str
    log: Path
    data: Path

    def ask(
        self, method: str, path: str, headers: dict[str, str] | None = None, **rest: Any
    ) -> requests.Response:
        """Send a request to the API, with the token unless other headers are given."""
        given = {"Authorization": f"token {self.token}"} if headers is None else headers
        url = f"{self.url}/qsession-widget/api/{path}"
        return requests.request(method, url, headers=given, timeout=DEADLINE_SECONDS, **rest)

    def get(self, path: str) -> Any:
        """Return the JSON of a successful GET."""
        answer = self.ask("GET", path)
        assert answer.status_code == 200, answer.text
        return answer.json()


@contextmanager
def serve(
    folder: Path,
    home: Path,
    *,
    enabled: bool = True,
    settings: str = "",
    variables: Mapping[str, str] | None = None,
) -> Iterator[Server]:
    """Run a Jupyter server.

    Args:
        folder: for everything that it writes.
        home: of the local runtime.
        enabled: whether the extension is.
        settings: Python code of its configuration.
        variables: further environment variables.
    """
    token, port = secrets.token_hex(16), free_port()
    config, data = folder / "config", folder / "data"
    config.mkdir(parents=True)
    own = json.loads((ROOT / "server-extension.json").read_text("utf-8"))
    own["ServerApp"]["jpserver_extensions"] |= dict.fromkeys(LEFT_OUT, False) | (
        {} if enabled else {NAME: False}
    )
    (config / "jupyter_server_config.json").write_text(json.dumps(own))
    (config / "jupyter_server_config.py").write_text(settings)
    command = [
        *(sys.executable, "-m", "jupyter_server", "--no-browser", "--allow-root"),
        *(f"--port={port}", "--ServerApp.port_retries=0", f"--IdentityProvider.token={token}"),
        *("--ServerApp.base_url=/user/alice/", f"--ServerApp.root_dir={folder}"),
    ]
    environment = {
        **os.environ,
        **(variables or {}),
        "HOME": str(folder),
        "JUPYTER_CONFIG_DIR": str(config),
        "JUPYTER_DATA_DIR": str(data),
        "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
        "QSESSION_HOME": str(home),
    }
    log = folder / "server.log"
    url = f"http://127.0.0.1:{port}/user/alice"
    with served(
        command,
        lambda: answers_at(f"{url}/api"),
        log,
        environment=environment,
        folder=folder,
    ):
        yield Server(url, token, log, data)
