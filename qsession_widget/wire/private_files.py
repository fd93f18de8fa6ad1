"""Files and folders that only their owner can read, whatever the umask is."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import BinaryIO

UMASK = 0o077
"""The umask of a process that creates private files only."""

FOLDER_MODE = 0o700
FILE_MODE = 0o600

_OTHERS = 0o077


def make_folder(path: Path) -> None:
    """Create a folder and its missing parents, readable by their owner only.

    Folders that exist already keep their modes.

    Raises:
        OSError: if it cannot be created, or is not a folder.
    """
    missing = [each for each in (path, *path.parents) if not each.exists()]
    for each in reversed(missing):
        each.mkdir(mode=FOLDER_MODE, exist_ok=True)
    if not path.is_dir():
        raise NotADirectoryError(f"{path} is not a folder")


def write(path: Path, content: bytes) -> None:
    """Write a file atomically: another process reads the old content or the new one, never a part.

    Args:
        path: of the file, whose folder exists. A symbolic link is replaced, not followed.
        content: all of it.

    Raises:
        OSError: if it cannot be written; what was there stays.
    """
    # Creates it with `FILE_MODE`, so that others can never read it, not even for a moment.
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    written = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        written.replace(path)
    except BaseException:
        written.unlink(missing_ok=True)
        raise


def open_anew(path: Path) -> BinaryIO:
    """Open an empty file for writing, in place of the one that may be there.

    Raises:
        OSError: if it cannot be opened.
    """
    path.unlink(missing_ok=True)
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE), "wb")


def open_to_append(path: Path) -> BinaryIO:
    """Open a file for appending, and make it private even if it was not.

    Raises:
        OSError: if it cannot be opened.
    """
    file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, FILE_MODE), "ab")
    close_to_others(path)
    return file


def close_to_others(path: Path) -> None:
    """Remove the permissions of group and others from a file, if it exists and is ours."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    if found.st_mode & _OTHERS and found.st_uid == os.geteuid() and not path.is_symlink():
        path.chmod(found.st_mode & 0o777 & ~_OTHERS)
