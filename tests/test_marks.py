"""Tests that start processes are recognised: by their code, a helper's or a fixture's."""

from __future__ import annotations

import pkgutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests import conftest
from tests.marks import STARTERS, marks_of, starts_process

if TYPE_CHECKING:
    from collections.abc import Callable


def _starts() -> None:
    subprocess.run([sys.executable, "--version"], check=True)


class _Helper:
    def start(self) -> None:
        _starts()


def _uses_a_helper() -> None:
    _Helper().start()


def _starts_nothing() -> int:
    return len(STARTERS)


@pytest.mark.parametrize("name", sorted(STARTERS))
def test_every_starter_exists(name: str) -> None:
    """If one were moved, it would no longer mark any test."""
    assert pkgutil.resolve_name(name)


def test_helpers_are_followed() -> None:
    assert starts_process(_starts)
    assert starts_process(_uses_a_helper)
    assert starts_process(conftest.use) is False
    assert starts_process(conftest.running)
    assert not starts_process(_starts_nothing)


@pytest.fixture
def starter() -> Callable[[], None]:
    return _starts


def test_fixtures_are_followed(request: pytest.FixtureRequest, starter: object) -> None:
    assert starter is _starts
    assert marks_of(request.node) == {"process"}


def test_other_tests_have_no_mark(request: pytest.FixtureRequest) -> None:
    assert marks_of(request.node) == set()
