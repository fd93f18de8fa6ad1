"""`qsession`: serve, status, stop, connect, clock, demo."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

from qsession_widget.duration import parse_duration
from qsession_widget.errors import QSessionError

if TYPE_CHECKING:
    from collections.abc import Callable

INTERRUPTED_STATUS = 130
"""What shells report for a program that Ctrl-C has ended."""


def main(arguments: list[str] | None = None) -> int:
    """Run a command.

    Returns:
        Exit status: 0 when it did what was asked for, 1 when not, 2 for a wrong command line.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] == ["serve"]:
        _serve(arguments[1:])
    parser = argparse.ArgumentParser(
        prog="qsession", description="See and steer quantum sessions; run them locally."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("serve", help="run the local runtime in the foreground", add_help=False)
    commands.add_parser("status", help="say whether the local runtime runs, and what it does")
    commands.add_parser("stop", help="end the local runtime; jobs go on at its next start")
    connect = commands.add_parser("connect", help="lead IBM's own client to the local runtime")
    connect.add_argument(
        "--format",
        choices=("env", "python", "account"),
        default="env",
        help="lines for a shell, or for Python, or save the account 'local' (default: %(default)s)",
    )
    clock = commands.add_parser("clock", help="let time pass on a runtime with a virtual clock")
    clock.add_argument("what", choices=("advance",))
    clock.add_argument("duration", metavar="TIME", help="how much: 8h, 90s, '1h 30m'")
    demo = commands.add_parser("demo", help="run a session, live, then open the notebook")
    demo.add_argument(
        "--headless",
        action="store_true",
        help="execute the notebook and write it as HTML instead of opening JupyterLab",
    )
    options = parser.parse_args(arguments)
    try:
        return _RUN[options.command](options)
    except QSessionError as error:
        sys.stderr.write(f"qsession: {error}\n")
        return 1
    except KeyboardInterrupt as interrupt:
        notes = "".join(f"\n{note}" for note in getattr(interrupt, "__notes__", ()))
        sys.stderr.write(f"qsession: interrupted{notes}\n")
        return INTERRUPTED_STATUS


def _serve(arguments: list[str]) -> None:
    """Become the runtime: client and runtime share no process."""
    command = [sys.executable, "-P", "-m", "qsession_widget.runtime", *arguments]
    os.execv(sys.executable, command)  # noqa: S606  our own interpreter and module, no shell


def _status(_options: argparse.Namespace) -> int:
    from qsession_widget import local  # noqa: PLC0415  requests is not needed for --help

    found = local.status()
    if found is None:
        sys.stdout.write("The local runtime does not run; the first session starts it.\n")
        return 1
    process = f"process {found['pid']}, version {found['version']}"
    lines = [
        f"The local runtime runs at {found['url']} ({process}).",
        f"Open sessions: {found['sessions']}",
        *(f"{name}: {jobs} jobs" for name, jobs in sorted(found["queues"].items())),
    ]
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


def _stop(_options: argparse.Namespace) -> int:
    from qsession_widget import local  # noqa: PLC0415  requests is not needed for --help

    stopped = local.stop()
    sys.stdout.write("Stopped.\n" if stopped else "The local runtime does not run.\n")
    return 0


def _clock(options: argparse.Namespace) -> int:
    from qsession_widget import local  # noqa: PLC0415  requests is not needed for --help

    seconds = parse_duration(options.duration, name="TIME")
    sys.stdout.write(f"It is {local.advance_clock(seconds)['now']} now.\n")
    return 0


def _connect(options: argparse.Namespace) -> int:
    from qsession_widget import local  # noqa: PLC0415  requests is not needed for --help

    found = local.connection()
    match options.format:
        case "account":
            found.save()
            sys.stdout.write(
                "# Saved as the account 'local' of qiskit-ibm-runtime. It works where these are "
                f"set:\n{found.cloud_text()}"
            )
        case "python":
            sys.stdout.write(found.python_text())
        case _:
            sys.stdout.write(found.shell_text())
    return 0


def _demo(options: argparse.Namespace) -> int:
    from qsession_widget import demo  # noqa: PLC0415  rich is not needed for the other commands

    return demo.run(headless=options.headless or not sys.stdout.isatty())


_RUN: dict[str, Callable[[argparse.Namespace], int]] = {
    "status": _status,
    "stop": _stop,
    "connect": _connect,
    "clock": _clock,
    "demo": _demo,
}
