"""The sandbox of a worker process, which gives up all rights but those that computing needs.

A worker runs payloads from other users. A payload that got around the checks of Qiskit and Aer
could read every file that the runtime's user can read. So before its first payload each process
gives up new privileges, core dumps, files beyond its libraries, and TCP. The kernel enforces it
(Landlock, Linux 5.13 and newer); without Landlock only the other restrictions hold.

The number of processes is not bounded: the kernel counts all processes and threads of the user, and
Aer's threads would fail where that user has a desktop open.
"""

from __future__ import annotations

import ctypes
import logging
import os
import resource
import site
import sys
import sysconfig
import tempfile
from pathlib import Path

log = logging.getLogger(__name__)

MAX_FILE_BYTES = 2**30
"""Largest file that a worker may write; only the log is open to it where there is Landlock."""

_SET_NO_NEW_PRIVS = 38
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION_ONLY = 1
_BENEATH = 1

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_FOLDER = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_READ = _EXECUTE | _READ_FILE | _READ_FOLDER
_FILES_SINCE = {1: 13, 2: 14, 3: 15, 5: 16}
"""By version of Landlock, how many rights to files it knows, from the first bit on."""
_TCP_SINCE = 4
_TCP = 0b11

_SYSTEM = (
    *("/bin", "/etc", "/lib", "/lib32", "/lib64", "/opt", "/proc", "/run/current-system"),
    *("/sbin", "/sys", "/usr", "/nix/store", "/gnu/store"),
)
_DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom", "/dev/random")


class _Ruleset(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("network", ctypes.c_uint64))


class _PathRule(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


def enter() -> bool:
    """Give up the rights that a worker does not need, for the rest of the process's life.

    Has to be called before any thread is started: the kernel restricts the calling thread, and the
    threads that it starts.

    Returns:
        Whether files and network are out of reach.
    """
    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_FSIZE, MAX_FILE_BYTES)
    if sys.platform != "linux":
        return False
    library = ctypes.CDLL(None, use_errno=True)
    # Landlock requires that the process cannot gain privileges by running a program.
    if library.prctl(_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        return False
    # Modules imported later ask for the temporary folder, which Python finds by writing a file.
    tempfile.gettempdir()
    try:
        return _restrict(library)
    except OSError as error:
        log.warning("a worker can reach its user's files: %s", error)
        return False


def readable() -> list[Path]:
    """Return the folders that a worker may read: of the system, of Python, and of packages."""
    found = {
        *map(Path, _SYSTEM),
        *map(Path, (sys.prefix, sys.base_prefix, sys.exec_prefix, *sysconfig.get_paths().values())),
        *(Path(each) for each in sys.path if each),
        *map(Path, site.getsitepackages()),
        # The package itself, where it is used from its sources.
        Path(__file__).resolve().parents[2],
    }
    return sorted({each.resolve() for each in found if each.exists()} - {Path("/")})


def _lower(which: int, wanted: int) -> None:
    hard = resource.getrlimit(which)[1]
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(which, (most, most))


def _restrict(library: ctypes.CDLL) -> bool:
    version = library.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _VERSION_ONLY)
    if version < 1:
        return False
    rights = (1 << max(count for since, count in _FILES_SINCE.items() if since <= version)) - 1
    network = _TCP if version >= _TCP_SINCE else 0
    rules = _Ruleset(rights, network)
    size = ctypes.sizeof(rules) if network else ctypes.sizeof(ctypes.c_uint64)
    ruleset = _checked(library.syscall(_CREATE_RULESET, ctypes.byref(rules), size, 0))
    try:
        for path in readable():
            _allow(library, ruleset, path, _READ if path.is_dir() else _EXECUTE | _READ_FILE)
        for name in _DEVICES:
            path = Path(name)
            if path.exists():
                _allow(library, ruleset, path, _READ_FILE | _WRITE_FILE)
        _checked(library.syscall(_RESTRICT_SELF, ruleset, 0))
    finally:
        os.close(ruleset)
    return True


def _allow(library: ctypes.CDLL, ruleset: int, path: Path, rights: int) -> None:
    try:
        parent = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        # A path that this user cannot open needs no rule.
        return
    try:
        rule = _PathRule(rights, parent)
        _checked(library.syscall(_ADD_RULE, ruleset, _BENEATH, ctypes.byref(rule), 0))
    finally:
        os.close(parent)


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
