"""Names of processes by which a runtime on the same machine sees that one has ended.

The system reuses process ids, but not together with the time at which the process started. Both
come from Linux's `/proc`. On other systems, and for processes of another machine or container,
nothing is known, and a process counts as alive.
"""

from __future__ import annotations

import os
import re
import uuid
from functools import cache
from hashlib import sha256
from pathlib import Path

LONGEST_NAME = 128
"""Characters of a name."""

PATTERN = r"([0-9a-f-]{1,40}/[0-9]{1,20}):([0-9]{1,10}):([0-9]{1,20})"
"""A name: the machine and its container, the process, and when it started."""

_NAME = re.compile(PATTERN)
_MARK_DIGITS = 16
_STATE, _STARTED = 0, 19
"""Fields of `/proc/PID/stat` after the program's name (proc_pid_stat(5))."""
_DEAD = frozenset({"Z", "X"})
"""A zombie: it has ended, but its parent has not collected its exit status yet."""


def own_name() -> str:
    """Return the name of this process.

    Where the system does not tell when it started, no runtime can check the name; it knows the
    process by its reports (`POST /qsession/beats`).
    """
    return _name_of(os.getpid())


def machine_mark() -> str | None:
    """Return a mark of this machine and container, by which a program sees whether it is there too.

    It does not tell the machine's own identifiers. None where the system has none.
    """
    machine = _machine()
    return None if machine is None else sha256(machine.encode()).hexdigest()[:_MARK_DIGITS]


def is_name(text: str) -> bool:
    """Whether a string has the form of a name."""
    return len(text) <= LONGEST_NAME and _NAME.fullmatch(text) is not None


def has_ended(name: str) -> bool:
    """Whether a process is known to have ended, which is possible on the same machine only."""
    parts = _NAME.fullmatch(name)
    if parts is None or parts[1] != _machine():
        return False
    pid, started = int(parts[2]), parts[3]
    try:
        # Signal 0 only asks. It finds processes whose entries in /proc are hidden from this user.
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return True
    except PermissionError:
        pass
    entry = _entry(pid)
    return entry is not None and (entry[_STATE] in _DEAD or entry[_STARTED] != started)


@cache
def _name_of(pid: int) -> str:
    machine, entry = _machine(), _entry(pid)
    if machine is None or entry is None:
        return f"{uuid.uuid4()}/0:{pid}:0"
    return f"{machine}:{pid}:{entry[_STARTED]}"


@cache
def _machine() -> str | None:
    """Return a name of this boot of the machine, and of the container if there is one."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
        return f"{boot}/{Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:
        return None


def _entry(pid: int) -> list[str] | None:
    """Return the fields that follow a process's program in `/proc`; None if there are none."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
    except OSError:
        return None
    # The program's name is in parentheses, and may hold any character.
    fields = text.rpartition(")")[2].split()
    return fields if len(fields) > _STARTED else None
