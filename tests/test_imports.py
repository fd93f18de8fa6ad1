"""The shape of the package: imports without circles, small folders, few floors.

The order of the folders is in the contracts of `lint-imports`, in pyproject.toml. Imports for type
checkers count here as there.
"""

from __future__ import annotations

from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import grimp
import pytest

import qsession_widget

PACKAGE = qsession_widget.__name__
MOST_MODULES = 20
MOST_FLOORS = {PACKAGE: 10, f"{PACKAGE}.runtime": 8}


@cache
def imports() -> grimp.ImportGraph:
    """Read every import of the package."""
    return grimp.build_graph(PACKAGE, exclude_type_checking_imports=False)


def between_children(parent: str) -> dict[str, set[str]]:
    """Return which direct children of a package each of them imports."""
    children = imports().find_children(parent)
    child_of = {
        module: child
        for child in children
        for module in (child, *imports().find_descendants(child))
    }
    found: dict[str, set[str]] = {child: set() for child in children}
    for module, child in child_of.items():
        for imported in imports().find_modules_directly_imported_by(module):
            found[child].add(child_of.get(imported, child))
        found[child].discard(child)
    return found


def test_no_imports_go_in_a_circle() -> None:
    graph = {
        module: imports().find_modules_directly_imported_by(module) for module in imports().modules
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))


@pytest.mark.parametrize("parent", MOST_FLOORS)
def test_the_floors_are_few(parent: str) -> None:
    graph = between_children(parent)
    floors: dict[str, int] = {}
    # Folders that import each other raise a CycleError.
    for child in TopologicalSorter(graph).static_order():
        floors[child] = 1 + max((floors[each] for each in graph[child]), default=0)
    assert max(floors.values()) <= MOST_FLOORS[parent], floors


def test_no_folder_is_full() -> None:
    root = Path(qsession_widget.__file__).parent
    modules = (path for path in root.rglob("*.py") if path.name != "__init__.py")
    counts: dict[Path, int] = {}
    for path in modules:
        counts[path.parent] = counts.get(path.parent, 0) + 1
    assert {
        str(folder.relative_to(root)): count
        for folder, count in counts.items()
        if count > MOST_MODULES
    } == {}
