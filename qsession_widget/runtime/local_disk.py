"""Finds a place for the store on a disk of this machine.

SQLite's write-ahead log needs memory that all of its readers share, and "does not work over a
network filesystem" (https://www.sqlite.org/wal.html). Homes of clusters and hubs often lie on one.
"""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from qsession_widget.wire import private_files
from qsession_widget.wire.discovery import HOME_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Mapping

MOUNTS = Path("/proc/self/mountinfo")
"""What is mounted where, on Linux (proc_pid_mountinfo(5)). Elsewhere every disk counts as local."""

_NETWORK = re.compile(
    r"nfs|nfs4|lustre|cifs|smbfs|smb3|afs|auristorfs|beegfs|ceph|coda|gfs2?|glusterfs|gpfs|ncpfs|"
    r"ocfs2|orangefs|panfs|pvfs2|fuse(\..*)?"
)
"""Types of file systems that several machines may share. What FUSE is, its type does not say."""

_LOCAL_FUSE = frozenset(
    f"fuse.{each}"
    for each in ("bindfs", "cryfs", "encfs", "fuse-overlayfs", "gocryptfs", "mergerfs", "securefs")
)
"""Except for these, which show a local disk: of containers, encrypted, or several as one."""

_ESCAPED = re.compile(r"\\([0-7]{3})")
_DIGITS = 16
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class NoLocalDiskError(Exception):
    """The folder is on a network file system, and no place on a local disk was found."""


def temporary_folders(variables: Mapping[str, str]) -> tuple[Path, ...]:
    """Return the folders in which the store may lie where its own folder is no local one.

    Args:
        variables: the environment.
    """
    run = f"/run/user/{os.geteuid()}"
    # The folder that is made in one of them is private.
    found = variables.get("XDG_RUNTIME_DIR"), run, variables.get("TMPDIR"), "/tmp"  # noqa: S108 - see above
    return tuple(dict.fromkeys(Path(each) for each in found if each and Path(each).is_absolute()))


@dataclass(frozen=True)
class Machine:
    """What this machine says of its disks.

    Attributes:
        mounts: the table of its mounts, in the format of `/proc/self/mountinfo`.
        temporary: folders for the store where the runtime's own folder is no local one.
    """

    mounts: Path = MOUNTS
    temporary: tuple[Path, ...] = field(default_factory=lambda: temporary_folders(os.environ))

    def network_type(self, path: Path) -> str | None:
        """Return the type of the network file system that holds a path; None for a local disk."""
        try:
            table = self.mounts.read_text("utf-8", "surrogateescape").splitlines()
        except OSError:
            return None
        path = path.resolve()
        found, depth = "", -1
        for point, kind in map(_mount, table):
            # A later mount on the same point hides the earlier one.
            if len(point.parts) >= depth and path.is_relative_to(point):
                found, depth = kind, len(point.parts)
        is_network = _NETWORK.fullmatch(found) is not None and found not in _LOCAL_FUSE
        return found if is_network else None

    def store_home(self, home: Path) -> Path:
        """Return the folder below which the store of a runtime lies, on a disk of this machine.

        It is the runtime's own folder, or else a private one in one of the folders for temporary
        files: the one that was used before, or the first that is on a local disk.

        Raises:
            NoLocalDiskError: if there is none; the message names what to do.
        """
        kind = self.network_type(home)
        if kind is None:
            return home
        # The name is the same for all programs of the user on this machine.
        mark = sha256(str(home.resolve()).encode("utf-8", "surrogateescape")).hexdigest()
        name = f"qsession-widget-{os.geteuid()}-{mark[:_DIGITS]}"
        usable = (each for each in self.temporary if os.access(each, os.W_OK | os.X_OK))
        places = [each / name for each in usable if self.network_type(each) is None]
        for place in sorted(places, key=lambda each: not each.exists()):
            if _is_private(place):
                return place
        raise NoLocalDiskError(
            f"{home} is on a network file system ({kind}), where the store cannot be kept, and "
            "neither $XDG_RUNTIME_DIR nor $TMPDIR is a folder on a disk of this machine that can "
            f"be written: name one with {HOME_VARIABLE} or --home"
        )


def _mount(line: str) -> tuple[Path, str]:
    """Return mount point and type of a line of `/proc/self/mountinfo`."""
    first, _, last = line.partition(" - ")
    point = _ESCAPED.sub(lambda each: chr(int(each[1], 8)), first.split()[4])
    return Path(point), last.split()[0]


def _is_private(place: Path) -> bool:
    """Create a folder if it does not exist; whether it is this user's alone.

    Other users can create folders beside it.
    """
    try:
        private_files.make_folder(place)
        found = place.lstat()
    except OSError:
        return False
    owned = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()
    return owned and not found.st_mode & _OTHERS
