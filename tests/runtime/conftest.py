"""A coordinator for tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.runtime.bench import Bench, going

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    """Yield a coordinator with default settings that has started."""
    async with going(Bench(tmp_path)) as started:
        yield started
