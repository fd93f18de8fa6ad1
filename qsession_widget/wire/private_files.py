"""Files and folders that their owner alone can read, whatever the umask."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from pathlib import Path

UMASK = 0o077
"""The umask of a process all of whose files are private."""

FOLDER_MODE = 0o700
FILE_MODE = 0o600

_OTHERS = 0o077


def make_folder(path: Path) -> None:
    """Make a folder, and the folders above it that are missing, for its owner alone.

    One that is there already keeps its mode.

    Raises:
        OSError: where it cannot be made, or is no folder.
    """
    missing = [each for each in (path, *path.parents) if not each.exists()]
    for each in reversed(missing):
        each.mkdir(mode=FOLDER_MODE, exist_ok=True)
    if not path.is_dir():
        raise NotADirectoryError(f"{path} is not a folder")


def open_to_append(path: Path) -> BinaryIO:
    """Open a file to add to its end, and make it private, also where it was not.

    Raises:
        OSError: where it cannot be opened.
    """
    file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, FILE_MODE), "ab")
    close_to_others(path)
    return file


def close_to_others(path: Path) -> None:
    """Take away what others may do with a file, where it is there and ours."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    if found.st_mode & _OTHERS and found.st_uid == os.geteuid() and not path.is_symlink():
        path.chmod(found.st_mode & 0o777 & ~_OTHERS)
