"""How many processors and how much memory of the machine this process may use.

In a container or on a login node that is less than the machine has: control groups (versions 1 and
2), the affinity and the resource limits say how much.
"""

from __future__ import annotations

import math
import os
import resource
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_ROOT = Path("/sys/fs/cgroup")
_OWN_GROUPS = Path("/proc/self/cgroup")
_NO_LIMIT = 2**60
"""Version 1 uses a number near 2**63 for no limit."""


def processors(groups: Path = _OWN_GROUPS, root: Path = _ROOT) -> int:
    """Return how many processors this process may use, at least one.

    Args:
        groups: file that lists the control groups of the process.
        root: folder in which control groups are mounted.
    """
    try:
        found = len(os.sched_getaffinity(0))
    except AttributeError:
        # macOS has no affinity.
        found = os.cpu_count() or 1
    shares = [share for each in _folders("cpu", groups, root) if (share := _share(each))]
    return max(1, min(found, *(math.ceil(each) for each in shares), found))


def memory_bytes(groups: Path = _OWN_GROUPS, root: Path = _ROOT) -> int:
    """Return how much memory the process and its control group may use.

    Args:
        groups: file that lists the control groups of the process.
        root: folder in which control groups are mounted.
    """
    found = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for each in _folders("memory", groups, root):
        for name in ("memory.max", "memory.limit_in_bytes"):
            limit = _number(each / name)
            if limit is not None and 0 < limit < _NO_LIMIT:
                found.append(limit)
    for which in (resource.RLIMIT_AS, resource.RLIMIT_DATA):
        limit = resource.getrlimit(which)[0]
        if limit != resource.RLIM_INFINITY:
            found.append(limit)
    return min(found)


def _folders(controller: str, groups: Path, root: Path) -> Iterator[Path]:
    """Yield the folders of the process's control group and of those above it."""
    try:
        lines = groups.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, name = rest.partition(":")
        if controllers and controller not in controllers.split(","):
            continue
        top = root / controllers if controllers else root
        if controllers and not top.is_dir():
            # Some systems mount each controller under its own name only.
            top = root / controller
        inside = top / name.strip("/")
        # In a container, its own group may be mounted at the top.
        for each in (inside, *inside.parents):
            yield each
            if each == top:
                break


def _share(folder: Path) -> float | None:
    """Return how many processors a group may use; None if it has no limit."""
    try:
        quota, period = (folder / "cpu.max").read_text().split()
    except (OSError, ValueError):
        quota = str(_number(folder / "cpu.cfs_quota_us") or -1)
        period = str(_number(folder / "cpu.cfs_period_us") or 0)
    if not (quota.isdecimal() and period.isdecimal() and int(period)):
        return None
    return int(quota) / int(period)


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None
