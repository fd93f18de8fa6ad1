"""Which notebook or script a process runs."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

SAYS = "from qsession_widget.support import whereabouts\nprint(whereabouts.notebook_or_script())\n"


def said(arguments: list[str], code: str = "", **variables: str) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "JPY_SESSION_NAME"}
    return subprocess.run(  # noqa: S603 - ours
        [sys.executable, *arguments],
        input=code,
        env=environment | variables,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()


def test_a_script_by_its_name_alone(tmp_path: Path) -> None:
    script = tmp_path / "vqe.py"
    script.write_text(SAYS)
    assert said([str(script)]) == "vqe.py"


def test_a_package_that_is_run(tmp_path: Path) -> None:
    package = tmp_path / "vqe"
    package.mkdir()
    (package / "__main__.py").write_text(SAYS)
    assert said([str(package)]) == "vqe"


def test_a_console_has_none() -> None:
    assert said(["-c", SAYS]) == "None"
    assert said(["-"], SAYS) == "None"


@pytest.mark.parametrize("name", ["/notebooks/secret project/vqe.ipynb", "vqe.ipynb"])
def test_what_jupyters_server_tells_the_kernel(name: str) -> None:
    assert said(["-c", SAYS], JPY_SESSION_NAME=name) == "vqe.ipynb"


def test_a_console_of_jupyter_is_no_notebook() -> None:
    assert said(["-c", SAYS], JPY_SESSION_NAME="2c2a-aa-console") == "None"


def test_what_vs_code_tells_the_kernel() -> None:
    assert said(["-c", f"__vsc_ipynb_file__ = '/x/vqe.ipynb'\n{SAYS}"]) == "vqe.ipynb"


def test_a_name_is_no_longer_than_a_label(tmp_path: Path) -> None:
    script = tmp_path / f"{'x' * 200}.py"
    script.write_text(SAYS)
    assert len(said([str(script)])) == 100


CELL = "from qsession_widget.support import whereabouts\nprint(whereabouts.cell_id())\n"


def test_a_cell_where_a_notebook_runs(tmp_path: Path) -> None:
    assert said(["-c", CELL]) == "None"
    # As ipykernel keeps the request that it handles, with and without what the page tells.
    for metadata, cell in (("{'cellId': 'c-1'}", "c-1"), ("{'cellId': 7}", "None"), ("{}", "None")):
        kernel = (
            "import IPython, types\n"
            "shell = IPython.InteractiveShell.instance()\n"
            f"request = {{'metadata': {metadata}}}\n"
            "shell.kernel = types.SimpleNamespace(get_parent=lambda: request)\n"
        )
        assert said(["-c", kernel + CELL], IPYTHONDIR=str(tmp_path)) == cell
