"""The command line of the runtime: its options, its exit status, and what it prints."""

from __future__ import annotations

import argparse
import gc
import sys
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qsession_widget.errors import RuntimeStartError
from qsession_widget.runtime import allocator, clock, inheritance
from qsession_widget.runtime.device_catalog import Catalog, UnknownDeviceError
from qsession_widget.runtime.http.middleware import access_log
from qsession_widget.runtime.server import AlreadyRunningError, StartError, serve
from qsession_widget.runtime.settings import LOCAL_EXECUTOR, POLICIES, Settings
from qsession_widget.runtime.store.retention import MOST_DAYS
from qsession_widget.support.fingerprints import sha256_fingerprint
from qsession_widget.wire.discovery import LOG_NAME
from qsession_widget.wire.fields import PROGRAMS

if TYPE_CHECKING:
    from collections.abc import Callable

    from qsession_widget.runtime.local_disk import Machine
    from qsession_widget.wire.discovery import Discovery

ALREADY_RUNNING_STATUS = 3

_LONGEST_BEAT_SECONDS = 3_600.0
_COLLECT_AFTER = (50_000, 10, 10)
"""Thresholds of the garbage collector's three generations (`gc.set_threshold`).

Each collection traverses all queued jobs: with some thousands, Python's default of 700 took a fifth
of the time.
"""


def main(
    arguments: list[str] | None = None,
    prog: str = "qsession serve",
    machine: Machine | None = None,
) -> int:
    """Run a runtime in the foreground.

    Args:
        arguments: the options; None takes those of this process.
        prog: name of the command in its help.
        machine: what is known of this machine's disks; None looks at them.

    Returns:
        Exit status: 0 after a clean end, 3 if another runtime uses the folder, 1 if it cannot
        start for another reason, such as a port that is taken.
    """
    inheritance.limit()
    try:
        parser = _parser(prog)
    except RuntimeStartError as error:
        _complain(error)
        return 1
    options = parser.parse_args(arguments)
    if options.host is None and (options.tls_cert or options.tls_key or options.self_signed):
        parser.error("a certificate is for other machines: add --host ADDRESS")
    if options.self_signed and (options.tls_cert or options.tls_key):
        parser.error("--self-signed makes a certificate: leave --tls-cert and --tls-key out")
    if options.tls_key is not None and options.tls_cert is None:
        parser.error("--tls-key is the key of a certificate: add --tls-cert")
    if options.store is not None and options.clock != clock.REAL:
        parser.error("--store keeps the real time; with another --clock leave it out")
    options.copies, options.aliases = dict(options.copies), dict(options.aliases)
    try:
        Catalog(options.copies, options.aliases, options.devices)
    except UnknownDeviceError as error:
        parser.error(str(error))
    access_log.set_up(options.log_format, options.home / LOG_NAME)
    allocator.give_back_large_blocks()
    gc.set_threshold(*_COLLECT_AFTER)
    chosen = {
        item.name: getattr(options, item.name)
        for item in fields(Settings)
        if hasattr(options, item.name)
    }
    try:
        serve(Settings(**chosen), _say_where, revive=options.revive, machine=machine)
    except AlreadyRunningError as error:
        _complain(error)
        return ALREADY_RUNNING_STATUS
    except (StartError, OSError) as error:
        _complain(error)
        return 1
    return 0


def _complain(error: Exception) -> None:
    sys.stderr.write(f"{error}\n")
    # The log buffers its lines on stderr.
    sys.stderr.flush()


def _parser(prog: str) -> argparse.ArgumentParser:
    defaults = Settings()
    parser = argparse.ArgumentParser(
        prog=prog,
        usage=f"{prog} [OPTION ...]",
        description="Run the local runtime: Qiskit Runtime's REST API with jobs on Qiskit Aer.",
    )
    for title, description, flags in _GROUPS:
        group = parser.add_argument_group(title, description)
        for name, kind, text in flags:
            default = getattr(defaults, name)
            group.add_argument(
                f"--{name.replace('_', '-')}",
                type=kind,
                default=default,
                metavar=_METAVARS.get(name.rpartition("_")[2], "N"),
                help=text if default is None else f"{text} (default: %(default)s)",
            )
        if title == _OTHERS:
            group.add_argument(
                "--self-signed",
                action="store_true",
                help="make a certificate for that address, kept in the folder; users need a copy",
            )
    order = parser.add_argument_group("order", "Which job goes next on a backend.")
    order.add_argument(
        "--policy",
        choices=POLICIES,
        default=defaults.policy,
        help="whether an active session has its backend to itself, or only goes first "
        "(default: shared while the runtime has several users)",
    )
    order.add_argument(
        "--lanes",
        type=_at_least_one,
        default=defaults.lanes,
        metavar="N",
        help="jobs of one backend in work at once: one is on the device, others are prepared or "
        "read out (default: %(default)s)",
    )
    order.add_argument(
        "--stop-at-max-time",
        action=argparse.BooleanOptionalAction,
        default=defaults.stop_at_max_time,
        help="stop running jobs when their session reaches its maximum time (default: no)",
    )
    order.add_argument(
        "--yield-abandoned",
        action=argparse.BooleanOptionalAction,
        default=defaults.yield_abandoned,
        help="let an idle session whose program has ended become inactive as soon as another job "
        "waits for its backend (default: yes)",
    )
    devices = parser.add_argument_group("backends", "What the runtime serves.")
    devices.add_argument(
        "--devices",
        type=_names,
        default=(),
        metavar="NAME,NAME",
        help="serve only these, besides copies and aliases (default: all recorded devices)",
    )
    devices.add_argument(
        "--copies",
        action="append",
        type=_copies,
        default=[],
        metavar="NAME=N",
        help="serve a device N times: NAME, NAME_2, ...; a session has its backend to itself",
    )
    devices.add_argument(
        "--alias",
        action="append",
        type=_pair,
        default=[],
        dest="aliases",
        metavar="NEW=NAME",
        help="serve a backend under a further name",
    )
    devices.add_argument(
        "--programs",
        type=_programs,
        default=defaults.programs,
        metavar="NAME,NAME",
        help=f"run only these of {', '.join(PROGRAMS)} (default: all); without sampler and "
        "estimator, primitives are sent as executor jobs",
    )
    polls = parser.add_argument_group("IBM's client", "It polls, since it cannot wait for changes.")
    polls.add_argument(
        "--hold-quick-polls",
        action=argparse.BooleanOptionalAction,
        default=defaults.hold_quick_polls,
        help="hold its quick polls until the job changes, or for a second (default: yes)",
    )
    polls.add_argument(
        "--hold-new-jobs-seconds",
        type=float,
        default=defaults.hold_new_jobs_seconds,
        metavar="SECONDS",
        help="how long to hold the request of a new job, which may end at once (default: "
        "%(default)s)",
    )
    # For the clients of a runtime that died.
    parser.add_argument("--revive", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument(
        "--log-format",
        choices=access_log.FORMATS,
        default="text",
        help="format of the log on stderr, with a line for each request and event (default: "
        "%(default)s)",
    )
    return parser


def _from_zero(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{number} is too small; the least is 0")
    return number


def _seconds(text: str) -> float:
    number = float(text)
    if not 0 < number <= _LONGEST_BEAT_SECONDS:
        raise argparse.ArgumentTypeError(
            f"{text} is not above 0 and up to {_LONGEST_BEAT_SECONDS:g}"
        )
    return number


def _days(text: str) -> float:
    number = float(text)
    if not 0 <= number <= MOST_DAYS:
        raise argparse.ArgumentTypeError(f"{text} is not from 0 to {MOST_DAYS:g}")
    return number


def _at_least_one(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is too small; the least is 1")
    return number


def _clock(text: str) -> str:
    try:
        return clock.make(text).kind
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _executor(text: str) -> str:
    scheme, _, place = text.rpartition("://")
    port = place.rpartition(":")[2]
    if text not in {LOCAL_EXECUTOR, "dask"} and not (scheme in {"dask", "tls"} and port.isdigit()):
        raise argparse.ArgumentTypeError(
            f"{text!r} is none of {LOCAL_EXECUTOR}, dask, dask://HOST:PORT and tls://HOST:PORT"
        )
    return text


def _folder(text: str) -> Path:
    return Path(text).expanduser().absolute()


def _pair(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    if not name or not value:
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form NAME=VALUE")
    return name, value


def _names(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(","))
    if not all(names):
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form NAME,NAME")
    return names


def _programs(text: str) -> tuple[str, ...]:
    names = _names(text)
    unknown = [name for name in names if name not in PROGRAMS]
    if unknown:
        raise argparse.ArgumentTypeError(f"no program {unknown[0]!r}; known: {', '.join(PROGRAMS)}")
    return names


def _copies(text: str) -> tuple[str, int]:
    name, value = _pair(text)
    return name, _at_least_one(value)


def _say_where(discovery: Discovery) -> None:
    if discovery.certificate:
        path = Path(discovery.certificate)
        sys.stdout.write(
            f"Its certificate for other machines is {path}\n"
            f"with the SHA-256 fingerprint {sha256_fingerprint(path)}.\n"
        )
    others = f", and other machines at {discovery.public_url}" if discovery.public_url else ""
    sys.stdout.write(f"The local runtime serves at {discovery.url}{others} (Ctrl-C ends it).\n")
    sys.stdout.flush()


_METAVARS = {
    "clock": "real|Nx|virtual",
    "home": "FOLDER",
    "store": "URL",
    "host": "ADDRESS",
    "executor": "URL",
    "ca": "FILE",
    "cert": "FILE",
    "key": "FILE",
    "days": "DAYS",
    "seconds": "SECONDS",
    "bytes": "BYTES",
}
"""Placeholders of values, by the last word of the flag's name."""

_OTHERS = "other machines"

_GROUPS: tuple[tuple[str, str, tuple[tuple[str, Callable[[str], Any], str], ...]], ...] = (
    (
        "the runtime itself",
        "Where it runs, and how much of the machine it uses.",
        (
            ("home", _folder, "folder for its files"),
            (
                "store",
                str,
                "PostgreSQL for sessions and jobs, instead of a file there: postgresql://USER@HOST/NAME",
            ),
            ("port", int, "port on 127.0.0.1, or at --host; 0 takes a free one"),
            ("workers", _at_least_one, "processes that run jobs"),
            ("idle_exit_seconds", int, "end after this time without anything to do; 0: never"),
        ),
    ),
    (
        _OTHERS,
        "Users on other machines need an address, and a token (`qsession user add`).",
        (
            ("host", str, "address for other machines, such as 0.0.0.0"),
            ("tls_cert", Path, "certificate chain for that address, in PEM"),
            ("tls_key", Path, "its key, if that is in another file"),
            (
                "beat_seconds",
                _seconds,
                "pause between two reports of a program elsewhere; without three it has ended",
            ),
        ),
    ),
    (
        "hosts",
        "More machines, each with `qsession worker`, that run jobs through a Dask scheduler.",
        (
            (
                "executor",
                _executor,
                "local, dask (a cluster on this machine), dask://HOST:PORT or tls://HOST:PORT",
            ),
            ("executor_ca", Path, "authorities that are trusted with tls://, in PEM"),
            ("executor_cert", Path, "the runtime's own certificate for that"),
            ("executor_key", Path, "its key, if that is in another file"),
            (
                "host_lease_seconds",
                _seconds,
                "how long a host goes on without hearing from the runtime",
            ),
        ),
    ),
    (
        "times of sessions and jobs",
        "In seconds; the defaults are IBM's.",
        (
            ("max_session_seconds", int, "longest maximum time of a session"),
            (
                "interactive_seconds",
                int,
                "how long an active session may idle before it becomes inactive",
            ),
            (
                "batch_interactive_seconds",
                int,
                "the same for a batch (default: as for a session)",
            ),
            ("first_job_seconds", int, "how long a session stays open before its first job"),
            ("max_job_seconds", int, "how long a job may run"),
            (
                "min_job_seconds",
                float,
                "how long a job lasts at least, so that it can be watched in a lesson",
            ),
            (
                "clock",
                _clock,
                "real, Nx (60x: 60 times as fast), or virtual: see `qsession clock advance`",
            ),
        ),
    ),
    (
        "limits",
        "A request beyond a limit is refused, or its job fails, with a reason that names it.",
        (
            ("max_body_bytes", _at_least_one, "largest request"),
            ("max_circuits", _at_least_one, "circuits (pubs) of a job"),
            ("max_qubits", _from_zero, "qubits of a circuit; 0: as many as its backend has"),
            ("max_shots", _from_zero, "shots of a circuit; 0: the limit of its backend"),
            (
                "max_job_memory_bytes",
                _from_zero,
                "memory of a job, on Linux; 0: no limit",
            ),
            ("max_result_bytes", _from_zero, "largest result of a job; 0: no limit"),
            ("max_pending_jobs", _at_least_one, "unfinished jobs of one user"),
            (
                "max_pending_jobs_in_total",
                _at_least_one,
                "unfinished jobs of all users",
            ),
            ("max_open_sessions", _at_least_one, "open sessions of one user"),
        ),
    ),
    (
        "retention",
        "Inputs and results of finished jobs are removed at the start and every hour.",
        (
            ("retention_days", _days, "how long to keep them; 0: forever"),
            (
                "max_store_bytes",
                _from_zero,
                "size of the store above which the oldest are removed; 0: no limit",
            ),
        ),
    ),
)
