"""The files for GitHub and pre-commit are valid, and name targets and releases that exist."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
PRE_COMMIT = ROOT / ".pre-commit-config.yaml"
TARGETS = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


@pytest.mark.parametrize(
    ("schema", "files"),
    [("vendor.github-workflows", WORKFLOWS), ("vendor.github-issue-forms", FORMS)],
    ids=["workflows", "issues"],
)
def test_files_fit_githubs_schemas(schema: str, files: list[Path]) -> None:
    assert files
    checked = subprocess.run(  # noqa: S603 - ours
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, *map(str, files)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize("path", [*WORKFLOWS, PRE_COMMIT], ids=lambda path: path.stem)
def test_every_target_that_is_called_exists(path: Path) -> None:
    text = path.read_text()
    called = {
        target for line in re.findall(r"(?:run|entry): make (.+)", text) for target in line.split()
    }
    assert called <= TARGETS
    assert called or ".ci/run" in text


def test_every_release_of_python_that_is_promised_is_tried() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    promised = {each.rpartition(" ")[2] for each in project["classifiers"] if " :: 3." in each}
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "tests.yml").read_text())["jobs"]
    steps = [step.get("with", {}).get("python-version") for step in jobs["all"]["steps"]]
    tried = {*filter(None, steps), *jobs["sample"]["strategy"]["matrix"]["python"]}
    assert tried == promised
    assert f">={min(promised, key=lambda each: int(each[2:]))}" == project["requires-python"]


def test_publishing_takes_no_stored_secret() -> None:
    text = (ROOT / ".github" / "workflows" / "publish.yml").read_text()
    assert "secrets." not in text
    assert "id-token: write" in text


def test_the_lock_has_every_requirement_in_its_bounds() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    locked = dict(line.split("==") for line in lines if not line.startswith("#"))
    wanted = [
        *project["project"]["dependencies"],
        *project["project"]["optional-dependencies"]["lab"],
        *project["dependency-groups"]["dev"],
        *project["dependency-groups"]["conformance"],
    ]
    asked = [Requirement(each) for each in wanted]
    missing = [
        str(each)
        for each in asked
        if not each.specifier.contains(locked.get(each.name.lower(), "0"), prereleases=True)
    ]
    assert missing == [], "write it anew: make lock"
