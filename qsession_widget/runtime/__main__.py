"""`python -m qsession_widget.runtime`: what `qsession serve` and the client start."""

from __future__ import annotations

import argparse
import logging
import sys
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from qsession_widget.runtime import clock
from qsession_widget.runtime.devices import Catalog, UnknownDeviceError
from qsession_widget.runtime.server import AlreadyRunningError, StartError, serve
from qsession_widget.runtime.settings import POLICIES, Settings

if TYPE_CHECKING:
    from qsession_widget.wire.discovery import Discovery

ALREADY_RUNNING_STATUS = 3


def main(arguments: list[str] | None = None, prog: str = "qsession serve") -> int:
    """Run a runtime in the foreground.

    Returns:
        Exit status: 0 after a clean end, 3 when another runtime holds the folder, 1 when it
        cannot start for another reason, such as a port that is taken.
    """
    defaults = Settings()
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Run the local runtime: Qiskit Runtime's REST API with jobs on Qiskit Aer.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--home", type=Path, default=defaults.home, help="folder of its files")
    add("--port", type=int, default=defaults.port, help="port on 127.0.0.1; 0 takes a free one")
    add("--workers", type=_at_least_one, default=defaults.workers, help="processes that run jobs")
    add(
        "--max-session-seconds",
        type=int,
        default=defaults.max_session_seconds,
        help="longest maximum time of a session",
    )
    add(
        "--interactive-seconds",
        type=int,
        default=defaults.interactive_seconds,
        help="how long an active session may idle before it becomes inactive",
    )
    add(
        "--batch-interactive-seconds",
        type=int,
        default=defaults.batch_interactive_seconds,
        help="the same of a batch; without this, as long as a session may",
    )
    add(
        "--stop-at-max-time",
        action=argparse.BooleanOptionalAction,
        default=defaults.stop_at_max_time,
        help="stop running jobs when their session reaches its maximum time",
    )
    add(
        "--first-job-seconds",
        type=int,
        default=defaults.first_job_seconds,
        help="how long a session without any job stays open",
    )
    add(
        "--max-job-seconds",
        type=int,
        default=defaults.max_job_seconds,
        help="longest time that a job may run",
    )
    add(
        "--min-job-seconds",
        type=float,
        default=defaults.min_job_seconds,
        help="shortest time that a job lasts, so that a lesson can watch it",
    )
    add(
        "--idle-exit-seconds",
        type=int,
        default=defaults.idle_exit_seconds,
        help="end after so long without anything to do; 0 never",
    )
    add(
        "--clock",
        type=_clock,
        default=defaults.clock,
        help="time of sessions and jobs: real, 60x (or as many times as fast as you like), or "
        "virtual, which stands still until `qsession clock advance` lets it pass",
    )
    add(
        "--policy",
        choices=POLICIES,
        default=defaults.policy,
        help="whether an active session has its device to itself, or only goes first; "
        "without this: shared while there are several owners",
    )
    add(
        "--lanes",
        type=_at_least_one,
        default=defaults.lanes,
        help="jobs of one device in work at once: one is on it, others are prepared or read out",
    )
    add(
        "--copies",
        action="append",
        type=_copies,
        default=[],
        metavar="NAME=N",
        help="serve a device N times: NAME, NAME_2, ...; a session holds its device to itself",
    )
    add(
        "--alias",
        action="append",
        type=_pair,
        default=[],
        dest="aliases",
        metavar="NEW=NAME",
        help="serve a device under a further name",
    )
    add(
        "--hold-quick-polls",
        action=argparse.BooleanOptionalAction,
        default=defaults.hold_quick_polls,
        help="answer the quick polls of IBM's own client when the job changes, or after a second",
    )
    options = parser.parse_args(arguments)
    options.copies, options.aliases = dict(options.copies), dict(options.aliases)
    try:
        Catalog(options.copies, options.aliases)
    except UnknownDeviceError as error:
        parser.error(str(error))
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    chosen = {
        item.name: getattr(options, item.name)
        for item in fields(Settings)
        if hasattr(options, item.name)
    }
    try:
        serve(Settings(**chosen), _say_where)
    except AlreadyRunningError as error:
        sys.stderr.write(f"{error}\n")
        return ALREADY_RUNNING_STATUS
    except (StartError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _at_least_one(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is too few; there must be at least one")
    return number


def _clock(text: str) -> str:
    try:
        return clock.make(text).kind
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _pair(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    if not name or not value:
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form NAME=VALUE")
    return name, value


def _copies(text: str) -> tuple[str, int]:
    name, value = _pair(text)
    return name, _at_least_one(value)


def _say_where(discovery: Discovery) -> None:
    sys.stdout.write(f"The local runtime serves at {discovery.url} (Ctrl-C ends it).\n")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main())
