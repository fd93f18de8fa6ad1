from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from qsession_widget.runtime.device_catalog import Catalog
from qsession_widget.runtime.http.errors import Problem
from qsession_widget.runtime.http.resources import Resources

if TYPE_CHECKING:
    from starlette.requests import Request

    from qsession_widget.runtime.store.store import Store


class Empty:
    async def job(self, _owner: str, _job_id: str) -> None: ...

    async def session(self, _owner: str, _session_id: str) -> None: ...


RESOURCES = Resources(Catalog({}, {}, ()), cast("Store", Empty()))


def asked(**path_params: str) -> Request:
    user = SimpleNamespace(is_authenticated=True, username="o")
    given: Any = SimpleNamespace(user=user, path_params=path_params)
    return cast("Request", given)


async def test_missing_resources_are_named() -> None:
    with pytest.raises(Problem, match="Backend not found: nemo") as missing:
        RESOURCES.backend("nemo")
    assert "fake_manila" in missing.value.solution
    assert RESOURCES.backend("fake_manila").name == "fake_manila"
    with pytest.raises(Problem, match="Job not found: j"):
        await RESOURCES.job(asked(job_id="j"))
    with pytest.raises(Problem, match="Session not found: s"):
        await RESOURCES.session(asked(session_id="s"))
    with pytest.raises(Problem, match="Session not found: other"):
        await RESOURCES.session(asked(), "other")
