"""Lists of jobs and sessions as tables."""

from __future__ import annotations

import copy
import html
import re
import sys
from typing import TYPE_CHECKING, Any

import pytest

from qsession_widget import QiskitRuntimeService, Sampler, Session, UnsupportedError
from qsession_widget.client import tables
from tests.client.circuits import bell

if TYPE_CHECKING:
    from pathlib import Path

HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture
def filled(own_runtime: Path) -> QiskitRuntimeService:
    """Return a service with an idle, named session of two jobs, and a closed batch."""
    assert own_runtime
    service = QiskitRuntimeService("local")
    session = Session(service, backend="fake_manila", name=HOSTILE)
    for _ in range(2):
        Sampler(mode=session).run(bell()).result()
    Session(service, backend="fake_lima").close()
    return service


def test_jobs_are_a_list_and_a_table(
    filled: QiskitRuntimeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = filled.jobs()
    assert isinstance(found, list)
    assert len(found) == 2
    assert copy.copy(found) == found
    head, *rows = str(found).splitlines()
    assert head.split() == [
        "Job",
        "Session",
        "Backend",
        "Program",
        "State",
        "Created",
        "Ran",
        "(s)",
        "Result",
    ]
    for job, row in zip(found, rows, strict=True):
        what = [job.job_id(), job.session_id, "fake_manila", "sampler", "Done"]
        assert row.split()[:5] == what
        assert re.search(r"(00|11): \d+ % · (00|11): \d+ %$", row)
    markup = found._repr_html_()
    assert re.sub(r"<[^>]+>", "", markup).count("Done") == 2
    monkeypatch.setattr(tables, "MOST_ROWS", 1)
    assert str(found).endswith("and 1 more")
    assert "and 1 more" in found._repr_html_()


def test_sessions_show_their_names_and_states(filled: QiskitRuntimeService) -> None:
    found = filled.sessions()
    closed, idle = found
    assert (closed.state, closed.name) == ("Closed", None)
    assert (idle.state, idle.name) == ("Idle (paid)", HOSTILE)
    text = str(found)
    assert HOSTILE in text
    assert "Idle (paid)" in text
    markup = found._repr_html_()
    assert HOSTILE not in markup
    assert html.escape(HOSTILE) in markup
    assert Session.from_id(idle.id, filled).name == HOSTILE


def test_ipython_displays_them_as_tables(filled: QiskitRuntimeService) -> None:
    formatters = pytest.importorskip("IPython.core.formatters")
    found: Any = formatters.DisplayFormatter().format(filled.jobs())[0]
    assert found["text/plain"].startswith("Job ")
    assert found["text/html"].startswith("<table ")


def test_as_data_frames(filled: QiskitRuntimeService, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(UnsupportedError, match="pip install pandas"):
        filled.jobs().to_pandas()
    monkeypatch.undo()
    pandas = pytest.importorskip("pandas")
    frame = filled.jobs().to_pandas()
    assert list(frame["Program"]) == ["sampler", "sampler"]
    assert pandas.api.types.is_datetime64_any_dtype(frame["Created"])
    assert frame["Ran (s)"].min() > 0
    assert list(filled.sessions().to_pandas()["State"]) == ["Closed", "Idle (paid)"]
