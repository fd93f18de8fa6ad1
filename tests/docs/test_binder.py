"""Binder's configuration installs what `pyproject.toml` offers, and its script runs."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parents[2]
BINDER = ROOT / "binder"


def environment() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((BINDER / "environment.yml").read_text("utf-8"))
    return found


def test_the_environment_has_the_package_with_jupyterlab() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    conda = [each for each in environment()["dependencies"] if isinstance(each, str)]
    (pip,) = (each["pip"] for each in environment()["dependencies"] if isinstance(each, dict))
    (python,) = (each.partition("=")[2] for each in conda if each.startswith("python="))
    assert SpecifierSet(project["project"]["requires-python"]).contains(python)
    wanted = {each.name: each for each in map(Requirement, pip)}
    assert wanted[project["project"]["name"]].extras == {"lab"}
    # The packages of the notebook, in releases that the tests run.
    tested = map(Requirement, project["dependency-groups"]["dev"])
    bounds = {each.name: each.specifier for each in tested}
    for name in ("qiskit-algorithms", "qiskit-machine-learning"):
        assert wanted[name].specifier == bounds[name]


def test_the_script_runs_in_an_environment_with_the_package() -> None:
    script = BINDER / "postBuild"
    assert os.access(script, os.X_OK)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(  # noqa: S603 - our own script
        [script], env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "enabled" in done.stdout
