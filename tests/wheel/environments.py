"""Environments in which this package is another one than here, or is missing, as on a hub."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import ZipFile

import pytest

if TYPE_CHECKING:
    from collections.abc import Collection

NAME = "qsession-widget"
_HERE = Path(sys.prefix)
_PACKAGES = Path(pytest.__file__).parents[1]


def environment(folder: Path, wheel: Path | None, without: Collection[str] = ()) -> Path:
    """Create an environment with the packages of this one, and return its interpreter.

    Args:
        folder: of the environment.
        wheel: a wheel of this package, which is installed; None leaves the package out.
        without: names of JupyterLab's extensions that are left out, too.
    """
    venv.create(folder)
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "shared.pth").write_text(f"{_shared(folder) if wheel is None else _PACKAGES}\n")
    extensions = folder / "share" / "jupyter" / "labextensions"
    extensions.mkdir(parents=True)
    (extensions.parent / "lab").symlink_to(_HERE / "share" / "jupyter" / "lab")
    for each in (_HERE / "share" / "jupyter" / "labextensions").iterdir():
        if each.name not in {NAME, *without}:
            (extensions / each.name).symlink_to(each)
    settings = folder / "etc" / "jupyter" / "jupyter_server_config.d"
    settings.mkdir(parents=True)
    for each in (_HERE / "etc" / "jupyter" / settings.name).iterdir():
        if each.stem != NAME:
            (settings / each.name).symlink_to(each)
    python = folder / "bin" / "python"
    if wheel is not None:
        command = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"]
        alone = ["--no-deps", "--no-index", "--ignore-installed", str(wheel)]
        subprocess.run([*command, *alone], check=True)  # noqa: S603 - ours
    return python


def _shared(folder: Path) -> Path:
    """Return a folder with links to this environment's packages, without what there is of ours.

    A runtime's workers could not use it: they may read the folders of Python's path, and links
    lead out of these.
    """
    shared = folder / "shared"
    shared.mkdir()
    for each in _PACKAGES.iterdir():
        if "qsession_widget" not in each.name:
            (shared / each.name).symlink_to(each)
    return shared


def with_next_contract(wheel: Path, folder: Path) -> Path:
    """Return a copy of a wheel whose panels have the next number of the contract."""
    copy = folder / wheel.name
    this, following = b"qsession-widget.registry/1", b"qsession-widget.registry/2"
    with ZipFile(wheel) as read, ZipFile(copy, "w") as written:
        for each in read.infolist():
            content = read.read(each)
            if each.filename.endswith("panel/static/widget.js"):
                assert content.count(this) == 1
                content = content.replace(this, following)
            written.writestr(each, content)
    return copy
