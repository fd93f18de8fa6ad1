from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from qsession_widget.wire.discovery import Discovery, home

if TYPE_CHECKING:
    from pathlib import Path

HERE = Discovery(url="http://127.0.0.1:1", pid=1, version="0.1", token="s3cret")


def test_is_read_as_written(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    HERE.write(folder)
    assert Discovery.read(folder) == HERE
    assert Discovery.path(folder).stat().st_mode & 0o777 == 0o600
    assert [file.name for file in folder.iterdir()] == ["runtime.json"], (
        "no temporary files are left"
    )


def test_the_token_is_not_shown() -> None:
    assert "s3cret" not in repr(HERE)


@pytest.mark.parametrize(
    "text",
    ["", "{", "null", "[]", "1", '{"url": "u"}', '{"url":"u","pid":"x","version":"","token":""}'],
)
def test_an_unreadable_file_counts_as_missing(tmp_path: Path, text: str) -> None:
    Discovery.path(tmp_path).write_text(text)
    assert Discovery.read(tmp_path) is None


def test_a_missing_file_is_none(tmp_path: Path) -> None:
    assert Discovery.read(tmp_path) is None
    assert Discovery.read(tmp_path / "nowhere") is None


def test_the_home_can_be_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("QSESSION_HOME", str(tmp_path))
    assert home() == tmp_path
    monkeypatch.delenv("QSESSION_HOME")
    assert home().name == "qsession-widget"
