"""What a notebook shows of errors that the user's own lines caused."""

from __future__ import annotations

import io
from contextlib import redirect_stderr, redirect_stdout
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

ipython = pytest.importorskip("IPython")


def shown(cell: str) -> str:
    """Return what IPython writes when a cell raises."""
    shell = ipython.core.interactiveshell.InteractiveShell.instance(colors="nocolor")
    written = io.StringIO()
    with redirect_stdout(written), redirect_stderr(written):
        assert not shell.run_cell(cell).success
    return written.getvalue()


@pytest.mark.usefixtures("runtime")
@pytest.mark.parametrize(
    ("line", "last"),
    [
        ("Session(backend='fake_manilla')", "Did you mean 'fake_manila'?"),
        ("Session(backend='fake_manila', max_time='soon')", "max_time='soon'"),
        ("Session(backend='fake_manila', tags='a')", "tags='a'"),
    ],
)
def test_a_mistake_of_the_users_shows_their_own_lines(line: str, last: str) -> None:
    text = shown(f"from qsession_widget import Session\ndef mine():\n    {line}\nmine()")
    assert text.startswith("Traceback (most recent call last):\n")
    assert "in mine" in text
    assert last in text
    assert "qsession_widget/client" not in text
    assert "interactiveshell.py" not in text
    assert len(text.splitlines()) < 12


def test_an_error_of_the_service_shows_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QSESSION_HOME", str(tmp_path))
    text = shown("from qsession_widget.local.admin import Administration\nAdministration()")
    assert "ServiceUnavailableError" in text
    assert "qsession_widget/local" in text
