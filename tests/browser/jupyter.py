"""A real JupyterLab in a folder of its own, and what tests do in it."""

from __future__ import annotations

import json
import os
import secrets
import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import requests

from tests.conftest import DEADLINE_SECONDS, answers_at, free_port, served

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from playwright.sync_api import Locator, Page

    from qsession_widget import RuntimeJob

QUICKSTART = Path(__file__).parents[2] / "examples" / "quickstart.ipynb"
TIMEOUT_MS = DEADLINE_SECONDS * 1000
ENDING_SECONDS = 15
"""How long it may take to end by itself: idle threads that read files can keep it from ending."""


@dataclass(frozen=True)
class Lab:
    """A running JupyterLab or Notebook.

    Attributes:
        url: its root.
        folder: the root of its file browser.
        token: for its login.
        settings: the folder of user settings.
        page: path of a notebook's page.
    """

    url: str
    folder: Path
    token: str
    settings: Path
    page: str

    def configure(self, plugin: str, settings: str) -> None:
        """Write a plugin's settings, as JSON, for pages that are opened later."""
        path = self.settings / f"{plugin.replace(':', '/')}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(settings)

    def open(self, page: Page, notebook: Path) -> Notebook:
        """Open a copy of a notebook and wait for its kernel."""
        shutil.copy(notebook, self.folder / notebook.name)
        return self.visit(page, notebook.name)

    def visit(self, page: Page, name: str) -> Notebook:
        """Open a notebook that is there, which may run already, and wait for its kernel."""
        page.goto(f"{self.url}/{self.page}/{name}?reset&token={self.token}")
        page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=TIMEOUT_MS)
        opened = Notebook(page)
        opened.wait_until_idle()
        return opened

    def end_kernels(self) -> None:
        """Shut down all kernels: a notebook that is opened again gets a new one."""
        access = {"token": self.token}
        kernels = requests.get(f"{self.url}/api/kernels", access, timeout=DEADLINE_SECONDS)
        for kernel in kernels.json():
            ended = requests.delete(
                f"{self.url}/api/kernels/{kernel['id']}", params=access, timeout=DEADLINE_SECONDS
            )
            ended.raise_for_status()


@dataclass(frozen=True)
class Notebook:
    """A notebook that is open in a page."""

    page: Page

    def run_all(self) -> None:
        """Run all cells and wait for the last."""
        self.execute("notebook:run-all-cells")
        self.wait_until_idle()

    def execute(self, command: str, arguments: Mapping[str, Any] | None = None) -> None:
        """Execute one of JupyterLab's commands."""
        self.page.evaluate(
            "([id, args]) => window.jupyterapp.commands.execute(id, args).then(() => null)",
            [command, dict(arguments or {})],
        )

    def run_next(self, *, wait: bool = True) -> None:
        """Run the selected cell and select the next one."""
        run = "window.jupyterapp.commands.execute('notebook:run-cell-and-select-next')"
        self.page.evaluate(f"() => {run}.then(() => null)" if wait else f"() => {{ {run}; }}")

    def wait_until_idle(self) -> None:
        """Wait until the kernel is there and no cell runs or waits."""
        self.page.wait_for_function(_IDLE, timeout=TIMEOUT_MS)
        # A kernel says that it is idle before it answers; cells that are run then are lost.
        self.page.evaluate(
            "() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.info"
        )

    @property
    def is_idle(self) -> bool:
        """Whether no cell runs or waits."""
        return bool(self.page.evaluate(_IDLE))

    def errors(self) -> list[str]:
        """Return the text of every traceback in the notebook."""
        return self.page.locator(
            ".jp-Notebook [data-mime-type='application/vnd.jupyter.stderr']"
        ).all_inner_texts()

    @property
    def panel(self) -> Locator:
        """Return the session's panel."""
        return self.page.locator(".jp-Notebook").get_by_test_id("qsw-panel").first

    def theme(self, name: str) -> None:
        """Select a theme and wait until it is drawn."""
        self.execute("apputils:change-theme", {"theme": name})
        light = str("Light" in name).lower()
        self.page.wait_for_selector(
            f"body[data-jp-theme-light='{light}']", state="attached", timeout=TIMEOUT_MS
        )
        # The old theme stays visible under a splash until the new one is loaded.
        self.page.wait_for_selector("#jupyterlab-splash", state="detached", timeout=TIMEOUT_MS)


_IDLE = """() => {
  const context = window.jupyterapp?.shell.currentWidget?.sessionContext;
  const kernel = context?.session?.kernel;
  const waiting = document.querySelectorAll('.jp-Notebook .jp-InputPrompt');
  const pending = [...waiting].some((prompt) => prompt.textContent.includes('*'));
  const ready = context?.isReady && kernel?.connectionStatus === 'connected';
  return ready && kernel.status === 'idle' && !pending;
}"""


LAB = ("jupyterlab", "lab/tree", "LabApp")
NOTEBOOK = ("notebook", "notebooks", "JupyterNotebookApp")


@contextmanager
def lab(
    python: Path,
    folder: Path,
    home: Path,
    environment: Mapping[str, str],
    app: tuple[str, str, str] = LAB,
) -> Iterator[Lab]:
    """Run JupyterLab, or Notebook.

    Args:
        python: interpreter in whose environment JupyterLab and the package are installed.
        folder: for notebooks, settings and log; everything that JupyterLab writes goes here.
        home: of the local runtime that its kernels use.
        environment: in which it runs; the rest is set here.
        app: its module, the path of its notebooks, and the name of its settings.
    """
    module, path, settings_name = app
    token, port = secrets.token_hex(16), free_port()
    work = folder / "notebooks"
    work.mkdir()
    settings = folder / "settings"
    command = [
        *(str(python), "-m", module, "--no-browser", "--allow-root"),
        *(f"--port={port}", "--ServerApp.port_retries=0", f"--IdentityProvider.token={token}"),
        *(f"--ServerApp.root_dir={work}", f"--{settings_name}.expose_app_in_browser=True"),
        "--LabApp.extension_manager=readonly",
    ]
    kernels = folder / "kernels"
    if kernel := environment.get("QSESSION_KERNEL"):
        _kernel(kernels / "kernels" / "python3", kernel)
    own = {
        "HOME": str(folder),
        "JUPYTER_CONFIG_DIR": str(folder / "config"),
        "JUPYTERLAB_SETTINGS_DIR": str(settings),
        "JUPYTER_DATA_DIR": str(folder / "data"),
        # This takes precedence over the environment's.
        "JUPYTER_PATH": str(kernels),
        "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
        "IPYTHONDIR": str(folder / "ipython"),
        "QSESSION_HOME": str(home),
    }
    running = Lab(f"http://127.0.0.1:{port}", work, token, settings, path)
    running.configure("@jupyterlab/apputils-extension:notification", '{"fetchNews": "false"}')
    with served(
        command,
        lambda: answers_at(f"{running.url}/api"),
        folder / "lab.log",
        environment={**environment, **own},
        folder=folder,
        killed_after=ENDING_SECONDS,
    ):
        if kernel:
            assert _interpreter(running) == kernel
        yield running


def _kernel(folder: Path, python: str) -> None:
    """Replace this environment's kernel by that of another one."""
    folder.mkdir(parents=True)
    start = [python, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec = {"argv": start, "display_name": "Python 3", "language": "python"}
    (folder / "kernel.json").write_text(json.dumps(spec))


def _interpreter(running: Lab) -> str:
    """Return the interpreter of the kernels that notebooks get."""
    found = requests.get(
        f"{running.url}/api/kernelspecs", params={"token": running.token}, timeout=DEADLINE_SECONDS
    )
    return str(found.json()["kernelspecs"]["python3"]["spec"]["argv"][0])


def row_of(panel: Locator, job: RuntimeJob) -> Locator:
    """Return a job's row in a panel."""
    return panel.locator(f"[data-job-id='{job.job_id()}']")


def without_its_end(folder: Path) -> Path:
    """Return a copy of the quickstart that leaves its session open, to be steered."""
    content = json.loads(QUICKSTART.read_text("utf-8"))
    content["cells"] = [cell for cell in content["cells"] if cell["source"] != ["session.close()"]]
    copy = folder / QUICKSTART.name
    copy.write_text(json.dumps(content), "utf-8")
    return copy


def environment_without(*names: str) -> dict[str, str]:
    """Return this process's environment without some variables."""
    return {name: value for name, value in os.environ.items() if name not in names}
