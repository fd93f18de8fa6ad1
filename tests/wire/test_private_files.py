"""Files that only their owner can read: written as a whole, or not at all."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest

from qsession_widget.wire import private_files

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def open_umask() -> Iterator[None]:
    """Let new files be readable by others unless their mode says otherwise."""
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_that_others_could_read_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "accounts.json"
    path.write_text("old")
    before = path.stat().st_ino
    private_files.write(path, b"new")
    assert (path.read_bytes(), mode(path)) == (b"new", 0o600)
    assert path.stat().st_ino != before, "who reads the old one sees all of it"
    assert names(tmp_path) == ["accounts.json"]


def test_what_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "accounts.json"
    (path / "a folder, which no file can replace").mkdir(parents=True)
    with pytest.raises(OSError, match=r"accounts\.json"):
        private_files.write(path, b"new")
    assert names(tmp_path) == ["accounts.json"]


def test_a_file_opened_anew_does_not_write_where_a_link_leads(tmp_path: Path) -> None:
    path, elsewhere = tmp_path / "runtime.log.1", tmp_path / "elsewhere"
    elsewhere.write_text("of another program")
    path.symlink_to(elsewhere)
    with private_files.open_anew(path) as file:
        file.write(b"new")
    assert (path.read_bytes(), mode(path)) == (b"new", 0o600)
    assert elsewhere.read_text() == "of another program"
