"""A part that the installed release of IBM's packages lacks is named in the error."""

from __future__ import annotations

import ast
import sys
import tomllib
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from packaging.requirements import Requirement

import qsession_widget
from qsession_widget.client import executor
from qsession_widget.client.backends import backend_record
from qsession_widget.client.jobs import result_decoder
from qsession_widget.errors import UnsupportedError
from qsession_widget.runtime.worker import programs
from qsession_widget.runtime.worker.outcome import RejectedError
from qsession_widget.support import official
from qsession_widget.wire.execution_spans import LazySpans
from qsession_widget.wire.fields import EXECUTOR, NOISE_LEARNER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(qsession_widget.__file__).parent
OURS = ("qiskit_ibm_runtime", "ibm_quantum_schemas", "samplomatic")


def test_the_tested_releases_are_those_that_are_required() -> None:
    project = tomllib.loads((ROOT.parent / "pyproject.toml").read_text("utf-8"))["project"]
    required = {Requirement(each).name: Requirement(each) for each in project["dependencies"]}
    assert (
        required[official.PACKAGE].specifier
        == Requirement(f"{official.PACKAGE}{official.TESTED}").specifier
    )
    assert version(official.PACKAGE) in required[official.PACKAGE].specifier


# -- every import is explained -----------------------------------------------------------------


def imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.ImportFrom):
        return [node.module or ""]
    return [each.name for each in node.names] if isinstance(node, ast.Import) else []


def is_of_ibm(node: ast.AST) -> bool:
    return any(name.partition(".")[0] in OURS for name in imported(node))


def unexplained(node: ast.AST) -> Iterator[int]:
    """Yield the lines of imports of IBM's packages that happen outside of a `with needed`."""
    if is_of_ibm(node):
        yield node.lineno  # type: ignore[attr-defined] # of a statement
    if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        return
    if isinstance(node, ast.With) and any(
        ast.unparse(each.context_expr).startswith(("needed(", "official.needed("))
        for each in node.items
    ):
        return
    for child in ast.iter_child_nodes(node):
        yield from unexplained(child)


def modules_that_are_loaded_by_name() -> set[str]:
    """Return the modules of workers that `official_package` imports, and what only they import."""
    found = {programs.EXECUTOR_MODULE, programs.NOISE_LEARNER_MODULE}
    for name in list(found):
        tree = ast.parse((ROOT.parent / f"{name.replace('.', '/')}.py").read_text("utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                parts = {node.module, *(f"{node.module}.{each.name}" for each in node.names)}
                found |= {str(part) for part in parts}
    return found


def test_every_import_at_run_time_is_explained() -> None:
    loaded = modules_that_are_loaded_by_name()
    seen = 0
    for path in ROOT.rglob("*.py"):
        name = ".".join(path.relative_to(ROOT.parent).with_suffix("").parts)
        tree = ast.parse(path.read_text("utf-8"))
        seen += sum(is_of_ibm(node) for node in ast.walk(tree))
        if name not in loaded:
            assert not list(unexplained(tree)), path
    assert seen > 20


# -- what a user reads -------------------------------------------------------------------------


def hide(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Make modules look as if the installed release did not have them."""
    for name in names:
        monkeypatch.setitem(sys.modules, name, None)


def explained(error: Exception, missing: str) -> None:
    text = str(error)
    assert official.PACKAGE in text
    assert official.TESTED in text
    assert version(official.PACKAGE) in text
    assert missing in text


CONFIGURATION = {"backend_name": "x", "backend_version": "1", "n_qubits": 1}
USES: dict[str, tuple[str, Callable[[], Any]]] = {
    "a configuration": (
        "qiskit_ibm_runtime.models",
        lambda: backend_record.configuration(CONFIGURATION).n_registers,
    ),
    "properties": (
        "qiskit_ibm_runtime.utils.backend_decoder",
        lambda: backend_record.properties({"backend_name": "x"}).general,
    ),
    "a result of another program": (
        "qiskit_ibm_runtime.decoders.defaults",
        lambda: result_decoder.decode_result("{}", "noise-learner"),
    ),
    "options": (
        "qiskit_ibm_runtime.options_models",
        lambda: executor._official_options({}),
    ),
    "a name of ours": (
        "qiskit_ibm_runtime.options_models",
        lambda: qsession_widget.__getattr__("ExecutorOptions"),
    ),
    "spans": ("qiskit_ibm_runtime", lambda: list(LazySpans('{"__type__": "x"}'))),
}


@pytest.mark.parametrize("what", USES)
def test_what_a_release_lacks_is_said(monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    module, use = USES[what]
    hide(monkeypatch, module)
    with pytest.raises(UnsupportedError) as found:
        use()
    explained(found.value, module)


def parts_of(module: str) -> list[str]:
    """Return the modules of IBM that a program of workers imports when it is loaded."""
    tree = ast.parse((ROOT.parent / f"{module.replace('.', '/')}.py").read_text("utf-8"))
    return sorted({name for node in tree.body if is_of_ibm(node) for name in imported(node)})


@pytest.mark.parametrize(
    ("program", "module", "missing"),
    [
        (program, module, part)
        for program, module in (
            (EXECUTOR, programs.EXECUTOR_MODULE),
            (NOISE_LEARNER, programs.NOISE_LEARNER_MODULE),
        )
        for part in parts_of(module)
    ],
)
def test_a_job_that_needs_what_is_missing_fails_with_a_sentence(
    monkeypatch: pytest.MonkeyPatch, program: str, module: str, missing: str
) -> None:
    import_module(module)
    for name in [*sys.modules]:
        if name == module or name.startswith(missing):
            monkeypatch.delitem(sys.modules, name)
    hide(monkeypatch, missing)
    task = {
        "program_id": program,
        "params": "{}",
        "device": "fake_manila",
        "backend": "fake_manila",
        "limits": {},
    }
    with pytest.raises(RejectedError) as found:
        programs.run(task, lambda _text: None)
    explained(found.value, missing)


def test_another_import_that_fails_stays_what_it_is() -> None:
    with pytest.raises(ModuleNotFoundError, match="no_such_module"), official.needed("it"):
        import no_such_module  # type: ignore[import-not-found] # noqa: F401, PLC0415 - not there
