"""Finds out from their code which tests start processes, so that they need no decorator.

A test starts a process if it, a fixture or a helper of it names one of `STARTERS`. Helpers are
followed through the modules below `tests`.
"""

from __future__ import annotations

import inspect
from functools import cache
from types import CodeType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

STARTERS = {
    "multiprocessing",
    "os.fork",
    "subprocess",
    "qsession_widget.cli.demo.execute",
    "qsession_widget.local.process",
    "qsession_widget.runtime.control.coordinator.Coordinator",
    "qsession_widget.runtime.control.worker_pool.WorkerPool",
    "qsession_widget.runtime.dask.worker_host.WorkerHost",
    "qsession_widget.runtime.server.serve",
}
"""Modules, classes and functions by which processes are started."""

LONG_FOLDERS = ("browser", "conformance", "examples", "faults", "statistics", "wheel")
"""Folders whose tests take long."""


def marks_of(item: pytest.Item) -> set[str]:
    """Return the names of the markers that a test gets by its folder and its code."""
    found = set()
    folder = item.path.parent.name
    if folder in LONG_FOLDERS:
        found.add("minute")
    if folder == "browser":
        found |= {"browser", "process"}
    if any(map(starts_process, _functions(item))):
        found.add("process")
    return found


def _functions(item: Any) -> Iterator[Any]:
    """Yield a test's function and those of its fixtures."""
    function = inspect.unwrap(item.function)
    yield getattr(getattr(function, "hypothesis", None), "inner_test", function)
    for definitions in item._fixtureinfo.name2fixturedefs.values():
        yield definitions[-1].func


@cache
def starts_process(found: Any) -> bool:
    """Whether a function or class of the tests may start a process, itself or by its helpers."""
    seen: set[Any] = set()
    waiting = [found]
    while waiting:
        each = waiting.pop()
        if each in seen:
            continue
        seen.add(each)
        for used in _used(each):
            if _name(used) in STARTERS:
                return True
            if (getattr(used, "__module__", None) or "").startswith("tests."):
                waiting.append(used)
    return False


def _used(found: Any) -> Iterator[Any]:
    """Yield the modules, classes and functions that the code of one names."""
    if inspect.isclass(found):
        yield from (each for each in vars(found).values() if isinstance(each, FunctionType))
        yield from found.__bases__
        return
    function = inspect.unwrap(found)
    if not isinstance(function, FunctionType):
        return
    names = set(_names(function.__code__))
    for value in (function.__globals__.get(name) for name in names):
        if isinstance(value, ModuleType):
            yield value
            members = (vars(value).get(name) for name in names)
            yield from (each for each in members if _is_code(each))
        elif _is_code(value):
            yield value


def _is_code(value: Any) -> bool:
    return inspect.isclass(value) or (callable(value) and hasattr(value, "__qualname__"))


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _name(value: Any) -> str:
    if isinstance(value, ModuleType):
        return value.__name__
    module = getattr(value, "__module__", "")
    return f"{'os' if module == 'posix' else module}.{getattr(value, '__qualname__', '')}"
