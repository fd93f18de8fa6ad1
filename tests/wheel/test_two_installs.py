"""One page, two environments: the Jupyter server's and the kernel's, with different wheels or none.

The first test is a sample for CI; `make soak` runs them all.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from qsession_widget import QiskitRuntimeService, Session
from qsession_widget.local import process
from tests.browser import jupyter
from tests.browser.test_faults import OPEN, RUN, notebook_of, the_session
from tests.browser.test_hosts import keep_errors, steer
from tests.wheel.environments import environment, with_next_contract
from tests.wheel.test_release import ROOT, linked, run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Locator, Page

OLDER = "c01e5f4"
"""A commit whose panels send less than those of today; its wheel stands for an older release."""

by_hand = pytest.mark.skipif("QSESSION_ALL_INSTALLS" not in os.environ, reason="by `make soak`")


@contextmanager
def lab(server: Path, kernel: Path, folder: Path) -> Iterator[jupyter.Lab]:
    """Run JupyterLab of one environment, with kernels of another one."""
    home = folder / "qsession"
    # The tests' own process uses the same runtime, which the kernel starts.
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("QSESSION_HOME", str(home))
        own = jupyter.environment_without("PYTHONPATH", "VIRTUAL_ENV")
        environ = {**own, "QSESSION_KERNEL": str(kernel)}
        try:
            with jupyter.lab(server, folder, home, environ) as running:
                yield running
        finally:
            process.stop(folder=home)


def side(page: Page) -> Locator:
    return page.locator("#qsession-sessions")


def opened(running: jupyter.Lab, page: Page, folder: Path) -> jupyter.Notebook:
    """Run a notebook that shows a session with a job."""
    notebook = running.open(page, notebook_of(folder, OPEN, RUN, "session"))
    notebook.run_all()
    assert notebook.errors() == []
    return notebook


@pytest.fixture(scope="module")
def present(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the interpreter of an environment with the wheel of this tree."""
    return environment(tmp_path_factory.mktemp("present") / "venv", wheel)


def test_a_kernel_with_another_contract(
    wheel: Path, present: Path, page: Page, tmp_path: Path, artifacts: Path
) -> None:
    kernel = environment(tmp_path / "venv", with_next_contract(wheel, tmp_path))
    errors: list[str] = []
    keep_errors(page, errors)
    with lab(present, kernel, tmp_path) as running:
        notebook = opened(running, page, tmp_path)
        notebook.execute("qsession:show-sessions")
        # The server knows the session, and the panel says why it is not listed with its kernel.
        card = side(page).get_by_test_id("qsw-card")
        expect(card).to_have_attribute("data-where", "elsewhere")
        expect(side(page).get_by_test_id("qsw-side-note")).to_contain_text("the same release")
        page.screenshot(path=artifacts / "other-contract.png")
        steer(notebook.panel)
        expect(card).to_have_count(0)
    assert errors == []


@by_hand
def test_a_server_that_can_draw_no_widget(wheel: Path, page: Page, tmp_path: Path) -> None:
    widgets = ("anywidget", "@jupyter-widgets")
    server = environment(tmp_path / "server", None, without=widgets)
    kernel = environment(tmp_path / "kernel", wheel)
    with lab(server, kernel, tmp_path) as running:
        opened(running, page, tmp_path)
        output = page.locator(".jp-Notebook .jp-CodeCell").last.locator(".jp-OutputArea")
        # The static text, and after a while what to install.
        expect(output).to_contain_text("fake_manila")
        expect(output).to_contain_text("No front end has answered for 5 s")
        expect(output).to_contain_text("pip install jupyterlab_widgets anywidget")
        the_session().cancel()


@by_hand
def test_a_kernel_without_the_package(present: Path, page: Page, tmp_path: Path) -> None:
    kernel = environment(tmp_path / "venv", None)
    errors: list[str] = []
    keep_errors(page, errors)
    with lab(present, kernel, tmp_path) as running:
        notebook = running.open(page, notebook_of(tmp_path, "1 + 1"))
        notebook.execute("qsession:show-sessions")
        expect(side(page)).to_contain_text("No session is open")
        # The panel knows of the sessions of other programs, and acts on them.
        session = Session(QiskitRuntimeService(channel="local"), backend="fake_lima", name="Script")
        card = side(page).get_by_test_id("qsw-card")
        expect(card).to_have_attribute("data-where", "elsewhere")
        card.get_by_test_id("qsw-card-close").click()
        page.locator(".jp-Dialog .jp-mod-warn").click()
        expect(card).to_have_count(0)
        assert session.status() == "Closed"
        # Python itself says what this kernel lacks.
        side(page).get_by_test_id("qsw-start").click()
        notebook.execute("notebook:run-cell")
        notebook.wait_until_idle()
        (traceback,) = notebook.errors()
        assert "No module named 'qsession_widget'" in traceback
    assert errors == []


@by_hand
def test_a_server_without_the_package(wheel: Path, page: Page, tmp_path: Path) -> None:
    server = environment(tmp_path / "server", None)
    kernel = environment(tmp_path / "kernel", wheel)
    errors: list[str] = []
    keep_errors(page, errors)
    with lab(server, kernel, tmp_path) as running:
        notebook = opened(running, page, tmp_path)
        expect(side(page)).to_have_count(0)
        steer(notebook.panel)
    assert errors == []


@pytest.fixture(scope="module")
def older(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the interpreter of an environment with the wheel of an earlier commit."""
    folder = tmp_path_factory.mktemp("older")
    archive = ["git", "-C", str(ROOT), "archive", OLDER]
    found = subprocess.run(archive, check=False, capture_output=True)  # noqa: S603 - fixed command
    if found.returncode:
        pytest.skip(f"this clone has no commit {OLDER}: git fetch --unshallow")
    with tarfile.open(fileobj=BytesIO(found.stdout)) as sources:
        sources.extractall(folder)  # noqa: S202 - our own commit, and Python 3.11.0 has no filter
    modules = folder / "js" / "node_modules"
    shutil.copytree(ROOT / "js" / "node_modules", modules, symlinks=True, copy_function=linked)
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    run("npm", "run", "build", cwd=folder / "js", PATH=programs)
    run(sys.executable, "-m", "build", "--wheel", cwd=folder)
    (built,) = (folder / "dist").glob("*.whl")
    return environment(folder / "venv", built)


@by_hand
@pytest.mark.parametrize("older_is", ["kernel", "server"])
def test_an_older_wheel(
    present: Path, older: Path, page: Page, tmp_path: Path, older_is: str
) -> None:
    errors: list[str] = []
    keep_errors(page, errors)
    server, kernel = (present, older) if older_is == "kernel" else (older, present)
    with lab(server, kernel, tmp_path) as running:
        notebook = opened(running, page, tmp_path)
        expect(page.locator(".qsw-statusbar")).to_contain_text("Sessions: 1")
        if older_is == "kernel":
            notebook.execute("qsession:show-sessions")
            card = side(page).get_by_test_id("qsw-card")
            expect(card).to_have_attribute("data-where", "here")
            # This kernel does not say which cell opened the session: to the one that shows it.
            card.get_by_test_id("qsw-card-cell").click()
            active = "() => window.jupyterapp.shell.currentWidget.content.activeCellIndex === 2"
            page.wait_for_function(active)
        steer(notebook.panel)
        expect(page.locator(".qsw-statusbar")).to_be_hidden()
    assert errors == []
