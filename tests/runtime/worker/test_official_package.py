"""Parts of a package are imported without the rest, which is imported when it is used."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from qsession_widget.runtime.worker import official_package
from qsession_widget.runtime.worker.programs import EXECUTOR_MODULE, NOISE_LEARNER_MODULE

if TYPE_CHECKING:
    from pathlib import Path

HEAVY = ("ibm_platform_services", "pandas", "qiskit_ibm_runtime.qiskit_runtime_service")

ONE_JOB = f"""
import sys
from qsession_widget.runtime.worker import official_package
program = official_package.load({EXECUTOR_MODULE!r})
result = program.run(sys.stdin.read(), "fake_manila").result
loaded = [name for name in {HEAVY} if name in sys.modules]
import qiskit_ibm_runtime
assert qiskit_ibm_runtime.QiskitRuntimeService.__name__ == "QiskitRuntimeService"
assert {HEAVY[-1]!r} in sys.modules
print(loaded, len(result) > 100)
"""


def test_a_quantum_program_runs_without_the_rest_of_the_client() -> None:
    from tests.runtime.worker.test_executor_program import params, twirled  # noqa: PLC0415 - slow

    found = subprocess.run(  # noqa: S603 - ours
        [sys.executable, "-c", ONE_JOB],
        input=params(twirled()),
        text=True,
        capture_output=True,
        check=True,
    )
    assert found.stdout == "[] True\n", found.stderr


@pytest.mark.parametrize("name", [EXECUTOR_MODULE, NOISE_LEARNER_MODULE])
def test_each_program_is_imported(name: str) -> None:
    code = f"from qsession_widget.runtime.worker import official_package as o; o.load({name!r}).run"
    subprocess.run([sys.executable, "-c", code], check=True)  # noqa: S603 - ours


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of a package "whole" whose module "part" can be imported by itself."""
    folder = tmp_path / "whole"
    folder.mkdir()
    (folder / "__init__.py").write_text("from whole.part import VALUE\nOWN = VALUE + 1\n")
    (folder / "part.py").write_text("VALUE = 1\n")
    (tmp_path / "user.py").write_text("from whole.part import VALUE\n")
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("whole", "whole.part", "user"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return folder


def executed(package: Any) -> bool:
    return "OWN" in vars(package)


@pytest.mark.usefixtures("package")
def test_the_package_is_executed_when_its_own_names_are_read() -> None:
    assert official_package.load("user", "whole").VALUE == 1
    whole: Any = sys.modules["whole"]
    assert not executed(whole)
    assert whole.OWN == 2
    assert executed(whole)
    with pytest.raises(AttributeError):
        _ = whole.missing


def test_a_part_that_needs_the_whole_package_first_gets_it(package: Path) -> None:
    # Read from the package's other end this is circular; from the package it is not.
    (package / "__init__.py").write_text("OWN = 2\nfrom whole.part import VALUE\nLAST = VALUE\n")
    (package / "part.py").write_text("from whole import OWN\nVALUE = OWN - 1\n")
    (package.parent / "user.py").write_text("from whole.part import VALUE\n")
    assert official_package.load("user", "whole").VALUE == 1


@pytest.mark.usefixtures("package")
def test_what_is_missing_is_an_import_error() -> None:
    with pytest.raises(ImportError, match="absent"):
        official_package.load("whole.absent", "whole")
    with pytest.raises(ImportError, match="nowhere"):
        official_package.load("nowhere.part", "nowhere")
