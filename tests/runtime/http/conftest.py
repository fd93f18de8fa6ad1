"""A runtime for all tests of the HTTP layer, and one whose jobs take an hour."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.conftest import running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

from tests.runtime.server import Server, reached


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("http"), "--workers", "2") as folder:
        found = reached(folder)
        yield found
        # No request of any test may have caused a server error.
        log = (found.folder / "runtime.log").read_text()
        assert "failed\nTraceback" not in log
        assert "Exception in ASGI" not in log
        assert "never retrieved" not in log
        assert "a step of the runtime failed" not in log


@pytest.fixture
def slow(slow_home: Path) -> Iterator[Server]:
    """Yield a runtime whose jobs take an hour; jobs that a test leaves are cancelled."""
    found = reached(slow_home)
    yield found
    for job in found.json("/jobs", pending="true", limit=200)["jobs"]:
        found.ask("POST", f"/jobs/{job['id']}/cancel")
