"""A release: built twice it is the same, its metadata is valid, and it works without node.

`make release-check` runs these; they take some minutes, and CI leaves them out.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = json.loads((ROOT / "js" / "package.json").read_text())
VERSION = PACKAGE["version"]
EPOCH = "1760000000"
"""A time for files in archives; a release takes that of its commit."""

LARGEST_BYTES = 2_000_000


def run(*command: str, cwd: Path, **environment: str) -> str:
    """Run a command, and return what it prints."""
    done = subprocess.run(  # noqa: S603 - ours
        command,
        cwd=cwd,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def linked(source: str, target: str) -> None:
    """Link a file, or copy it to another file system."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def built_in(folder: Path) -> Path:
    """Copy the sources to a folder and build the distributions there; return their folder."""
    for name in run("git", "ls-files", "-z", cwd=ROOT).split("\0"):
        # A file that was deleted and not yet committed is listed, too.
        if name and (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
    # Not a link: the names of modules, and what is computed from them, are those of real paths.
    modules = ROOT / "js" / "node_modules"
    shutil.copytree(modules, folder / "js" / "node_modules", symlinks=True, copy_function=linked)
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    run("npm", "run", "build", cwd=folder / "js", PATH=programs)
    run(sys.executable, "-m", "build", cwd=folder, SOURCE_DATE_EPOCH=EPOCH)
    return folder / "dist"


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Build twice, in folders of different names and depths."""
    one = built_in(tmp_path_factory.mktemp("one"))
    return one, built_in(tmp_path_factory.mktemp("another") / "and" / "deeper")


def hashes(folder: Path) -> dict[str, str]:
    return {each.name: hashlib.sha256(each.read_bytes()).hexdigest() for each in folder.iterdir()}


def test_two_builds_are_the_same(releases: tuple[Path, Path]) -> None:
    one, another = map(hashes, releases)
    assert one == another
    assert set(one) == {
        f"qsession_widget-{VERSION}-py3-none-any.whl",
        f"qsession_widget-{VERSION}.tar.gz",
    }


def test_pypi_accepts_the_metadata(releases: tuple[Path, Path]) -> None:
    files = map(str, releases[0].iterdir())
    said = run(sys.executable, "-m", "twine", "check", "--strict", *files, cwd=ROOT)
    assert said.count("PASSED") == 2


def test_the_source_distribution_is_whole_and_small(releases: tuple[Path, Path]) -> None:
    (path,) = releases[0].glob("*.tar.gz")
    assert path.stat().st_size < LARGEST_BYTES
    with tarfile.open(path) as archive:
        names = {each.partition("/")[2] for each in archive.getnames()}
    needed = {"README.md", "LICENSE", "js/package-lock.json", "docs/index.rst", "Makefile"}
    built = {"qsession_widget/panel/static/widget.js", "qsession_widget/labextension/package.json"}
    assert needed | built | {"tests/wheel/test_release.py"} <= names
    foreign = re.compile(r"(^|/)(node_modules|__pycache__|\.venv|\.git/|_build|dist)(/|$)")
    assert [each for each in names if foreign.search(each)] == []


def test_the_wheel_names_what_it_has_of_others(releases: tuple[Path, Path]) -> None:
    (path,) = releases[0].glob("*.whl")
    assert path.stat().st_size < LARGEST_BYTES
    with ZipFile(path) as wheel:
        (name,) = (each for each in wheel.namelist() if ".dist-info/sboms/" in each)
        listed = json.loads(wheel.read(name))
        licences = {each for each in wheel.namelist() if "LICENSE" in each}
    assert listed["bomFormat"] == "CycloneDX"
    assert listed["metadata"]["component"]["version"] == VERSION
    lock = json.loads((ROOT / "js" / "package-lock.json").read_text())["packages"]
    for each in listed["components"]:
        assert each["version"] == lock[f"node_modules/{each['name']}"]["version"]
        # Each asks that its licence be distributed with it.
        assert f"qsession_widget/panel/static/LICENSE-{each['name']}.txt" in licences
    assert [each["name"] for each in listed["components"]] == ["preact"]


@pytest.fixture(scope="module")
def programs(releases: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel as a user does, in a new environment; return its folder of programs."""
    folder = tmp_path_factory.mktemp("venv")
    run(sys.executable, "-m", "venv", str(folder), cwd=folder)
    (wheel,) = releases[0].glob("*.whl")
    lock = ROOT / "requirements.lock"
    install = ["-m", "pip", "install", "--quiet", "--constraint", str(lock), f"{wheel}[lab]"]
    run(str(folder / "bin" / "python"), *install, cwd=folder)
    return folder / "bin"


def test_the_quickstart_runs_without_node(programs: Path, tmp_path: Path) -> None:
    home = {"PATH": str(programs), "HOME": str(tmp_path), "QSESSION_HOME": str(tmp_path / "q")}
    assert shutil.which("node", path=home["PATH"]) is None
    qsession = str(programs / "qsession")
    said = run(qsession, "--version", cwd=tmp_path, **home)
    assert said.startswith(f"qsession-widget {VERSION}\n")
    try:
        said = run(qsession, "demo", "--headless", cwd=tmp_path, **home)
    finally:
        run(qsession, "stop", cwd=tmp_path, **home)
    assert "hartree (exact: -1.8573)" in said
    page = (tmp_path / "qsession-demo" / "quickstart.html").read_text()
    assert "fake_manila" in page
    assert re.search(r"-1\.\d+ hartree after \d+ jobs", page)
