"""`qsession`: serve, worker, status, stop, sessions, jobs, close, cancel, logs, user and more."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from qsession_widget.errors import QSessionError
from qsession_widget.support.duration import parse_duration

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

    from qsession_widget.local.admin import Administration

INTERRUPTED_STATUS = 130
"""Exit status that shells report for a program ended by Ctrl-C."""

_MOST_LISTED = 200
"""How many jobs are listed at most."""

_PAUSE_SECONDS = 1.0
"""Pause between two updates of `qsession status --live`."""


_ABOUT_USERS = (
    "Each user has their own token, and can neither see nor change what belongs to other users. "
    "The administrator is the user who can read the runtime's folder."
)


def main(arguments: list[str] | None = None) -> int:
    """Run a command.

    Returns:
        Exit status: 0 if the command succeeded, 1 if it failed, 2 for a wrong command line.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] == ["serve"]:
        _become("qsession_widget.runtime", arguments[1:])
    if arguments[:1] == ["worker"]:
        _become("qsession_widget.runtime.dask", arguments[1:])
    parser = command_line()
    given, jupyter = _split(arguments)
    options, unknown = parser.parse_known_args(given)
    if unknown and options.command != "demo":
        parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    if options.version:
        return _say_version()
    if options.command is None:
        parser.print_help()
        return 0
    options.jupyter = [*unknown, *jupyter]
    try:
        return _RUN[options.command](options)
    except QSessionError as error:
        sys.stderr.write(f"qsession: {error}\n")
        return 1
    except KeyboardInterrupt as interrupt:
        notes = "".join(f"\n{note}" for note in getattr(interrupt, "__notes__", ()))
        sys.stderr.write(f"qsession: interrupted{notes}\n")
        return INTERRUPTED_STATUS


def command_line() -> argparse.ArgumentParser:
    """Return the parser of all commands; options of `serve` and `worker` are the runtime's."""
    parser = argparse.ArgumentParser(
        prog="qsession", description="See and steer quantum sessions; run them locally."
    )
    parser.add_argument(
        "--version", action="store_true", help="print the version of the package and of Qiskit"
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    commands.add_parser("serve", help="run the local runtime in the foreground", add_help=False)
    commands.add_parser(
        "worker", help="run jobs of a runtime elsewhere, through a Dask scheduler", add_help=False
    )
    status = _command(
        commands, "status", "show whether the local runtime runs, and what it is doing"
    )
    status.add_argument(
        "--live",
        action="store_true",
        help="keep the picture up to date until Ctrl-C (in a terminal)",
    )
    _command(commands, "stop", "stop the local runtime; unfinished jobs continue at its next start")
    _add_listings(commands)
    cancel = commands.add_parser(
        "cancel",
        help="cancel jobs, for example those of an interrupted program; the runtime must run",
        description="Cancel queued and running jobs. Open sessions stay open.",
    )
    which = cancel.add_mutually_exclusive_group(required=True)
    which.add_argument(
        "--all", action="store_true", help="all of your jobs; not those of other users"
    )
    which.add_argument("jobs", nargs="*", default=[], metavar="JOB_ID", help="ids of jobs")
    connect = _command(
        commands, "connect", "print what IBM's own client needs to use the local runtime"
    )
    connect.add_argument(
        "--format",
        choices=("env", "python", "account"),
        default="env",
        help="print shell lines, print Python lines, or save the account 'local' "
        "(default: %(default)s)",
    )
    user = commands.add_parser(
        "user", help="add and remove users; the runtime must run", description=_ABOUT_USERS
    )
    actions = user.add_subparsers(dest="action", required=True, metavar="ACTION")
    adding = _command(actions, "add", "add a user and print their token, once")
    removing = _command(actions, "remove", "void a user's token and cancel their unfinished jobs")
    for action in (adding, removing):
        action.add_argument("name", metavar="NAME")
    _command(actions, "list", "list the users and when they were added")
    collect = commands.add_parser(
        "gc",
        help="remove inputs and results of finished jobs; the runtime must run",
        description="Remove inputs and results of finished jobs. Jobs of open sessions keep "
        "theirs. Without options, the limits given to `qsession serve` apply.",
    )
    collect.add_argument(
        "--retention-days",
        type=float,
        metavar="DAYS",
        help="remove those that ended longer ago; 0 removes all",
    )
    collect.add_argument(
        "--max-store-bytes",
        type=int,
        metavar="BYTES",
        help="remove the oldest until the store is no larger",
    )
    store = _command(commands, "store", "copy the store of a runtime that does not run")
    store.add_argument("what", choices=("copy",))
    store.add_argument("source", metavar="FROM", help="a folder, a file, or a postgresql:// URL")
    store.add_argument("target", metavar="TO", help="the same; it must be empty")
    drain = commands.add_parser(
        "drain",
        help="let a host of the cluster finish its jobs and leave; the runtime must run",
        description="Give a host no more jobs. Once those that it has are over, `qsession worker` "
        "ends there.",
    )
    drain.add_argument("host", metavar="HOST", help="its name or address in `qsession status`")
    clock = _command(commands, "clock", "advance the clock of a runtime with a virtual clock")
    clock.add_argument("what", choices=("advance",))
    clock.add_argument("duration", metavar="TIME", help="by how much: 8h, 90s, '1h 30m'")
    demo = commands.add_parser(
        "demo",
        help="run a live session in the terminal, then open the notebook",
        description="Run a live session in the terminal, then open the notebook of the quickstart.",
        usage="qsession demo [-h] [--headless] [[--] OPTION ...]",
        epilog="Other options are passed to JupyterLab, such as --port 9999 or --allow-root.",
    )
    demo.add_argument(
        "--headless",
        action="store_true",
        help="execute the notebook and write it as HTML; do not open JupyterLab",
    )
    return parser


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, help_: str
) -> argparse.ArgumentParser:
    """Add a command whose own help begins with what the list of commands says of it."""
    return commands.add_parser(name, help=help_, description=f"{help_[0].upper()}{help_[1:]}.")


def _add_listings(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands that list what the runtime has, and close it."""
    _command(commands, "sessions", "list the open sessions; the runtime must run")
    listing = _command(commands, "jobs", "list your unfinished jobs; the runtime must run")
    listing.add_argument("--all", action="store_true", help="finished ones too")
    listing.add_argument(
        "--limit", type=_page, default=20, metavar="N", help="at most (default: %(default)s)"
    )
    closing = commands.add_parser(
        "close",
        help="close sessions, for example an idle one that has a backend; the runtime must run",
        description="Close sessions: they take no new jobs, finish those that they have, and free "
        "their backends.",
    )
    closed = closing.add_mutually_exclusive_group(required=True)
    closed.add_argument(
        "--all", action="store_true", help="all of your sessions; not those of other users"
    )
    closed.add_argument(
        "sessions",
        nargs="*",
        default=[],
        metavar="ID",
        help="ids of sessions, or the beginning of them",
    )
    logs = _command(commands, "logs", "print the log of a job, or the end of the runtime's")
    logs.add_argument("job", nargs="?", metavar="JOB_ID", help="a job's id, or the beginning of it")


def _split(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Split a demo's command line at "--"; what follows is passed to JupyterLab."""
    if arguments[:1] != ["demo"] or "--" not in arguments:
        return arguments, []
    at = arguments.index("--")
    return arguments[:at], arguments[at + 1 :]


def _become(module: str, arguments: list[str]) -> None:
    """Replace this process by the runtime, or a worker: client and runtime share no process."""
    from qsession_widget.wire import environment

    command = [sys.executable, "-P", "-m", module, *arguments]
    # Jobs must not be able to read the secrets in the shell's environment.
    variables = environment.for_runtime(os.environ)
    os.execve(sys.executable, command, variables)  # noqa: S606 - our own module, no shell


def _store(options: argparse.Namespace) -> int:
    """Run a program of the runtime's: client and runtime share no process."""
    command = [sys.executable, "-P", "-m", "qsession_widget.runtime.store.copying"]
    return subprocess.run([*command, options.source, options.target], check=False).returncode  # noqa: S603 - our own module, no shell


def _status(options: argparse.Namespace) -> int:
    from qsession_widget.local import process as local

    found = local.status()
    if found is None:
        local.refuse_elsewhere()
        sys.stdout.write("The local runtime does not run. The first session starts it.\n")
        return 1
    from rich.console import Console

    from qsession_widget.cli.status_view import render
    from qsession_widget.local.admin import Administration

    runtime = Administration()
    process = f"process {found['pid']}, version {found['version']}"
    sys.stdout.write(f"The local runtime runs at {found['url']} ({process}).\n")
    if runtime.url != found["url"]:
        sys.stdout.write(f"Other machines reach it at {runtime.url}.\n")
    status = runtime.status()
    sys.stdout.write(f"Open sessions: {len(status['sessions'])}\n")
    console = Console()
    if not (options.live and console.is_terminal):
        console.print(render(status))
        return 0
    return _watch(runtime, console)


def _watch(runtime: Administration, console: Console) -> int:
    """Draw the status until Ctrl-C, and keep it up to date."""
    from rich.live import Live

    from qsession_widget.cli.status_view import render

    with suppress(KeyboardInterrupt), Live(console=console, auto_refresh=False) as screen:
        while True:
            screen.update(render(runtime.status()), refresh=True)
            time.sleep(_PAUSE_SECONDS)
    return 0


def _say_version() -> int:
    from importlib.metadata import version

    names = ("qsession-widget", "qiskit", "qiskit-aer")
    sys.stdout.write("".join(f"{name} {version(name)}\n" for name in names))
    return 0


def _sessions(_options: argparse.Namespace) -> int:
    from rich.console import Console

    from qsession_widget.cli import listings
    from qsession_widget.local.admin import Administration

    status = Administration().status()
    if status["sessions"]:
        Console().print(listings.sessions(status))
    else:
        sys.stdout.write("No session is open.\n")
    return 0


def _jobs(options: argparse.Namespace) -> int:
    from rich.console import Console

    from qsession_widget.cli import listings
    from qsession_widget.local.admin import Administration

    found = listings.jobs(Administration(), pending=not options.all, limit=options.limit)
    if found.row_count:
        Console().print(found)
    else:
        sys.stdout.write("There are no jobs.\n" if options.all else "No job is unfinished.\n")
    return 0


def _close(options: argparse.Namespace) -> int:
    from qsession_widget.cli import listings
    from qsession_widget.local.admin import Administration

    runtime = Administration()
    closed = listings.close(runtime, runtime.open_sessions() if options.all else options.sessions)
    for each in closed:
        sys.stdout.write(f"Closed {each}.\n")
    if not closed:
        sys.stdout.write("No session is open.\n")
    return 0


def _logs(options: argparse.Namespace) -> int:
    from qsession_widget.cli import listings

    if options.job is None:
        sys.stdout.write(listings.latest_log())
        return 0
    from qsession_widget.client.short_ids import ask_by_id
    from qsession_widget.local.admin import Administration

    runtime = Administration()
    sys.stdout.write(ask_by_id(runtime, "job", options.job, runtime.api.logs))
    return 0


def _page(text: str) -> int:
    number = int(text)
    if not 1 <= number <= _MOST_LISTED:
        raise argparse.ArgumentTypeError(f"{number} is not from 1 to {_MOST_LISTED}")
    return number


def _stop(_options: argparse.Namespace) -> int:
    from qsession_widget.local import process as local

    stopped = local.stop()
    sys.stdout.write("Stopped.\n" if stopped else "The local runtime does not run.\n")
    return 0


def _cancel(options: argparse.Namespace) -> int:
    from qsession_widget.client.short_ids import ask_by_id
    from qsession_widget.local.admin import Administration

    runtime = Administration()
    wanted = runtime.pending_jobs() if options.all else options.jobs
    cancelled = sum(ask_by_id(runtime, "job", each, runtime.cancel_job) for each in wanted)
    over = len(wanted) - cancelled
    sys.stdout.write(f"Cancelled {cancelled} {'job' if cancelled == 1 else 'jobs'}.\n")
    if over:
        sys.stdout.write(f"{over} had already ended.\n")
    return 0


def _clock(options: argparse.Namespace) -> int:
    from qsession_widget.local import process as local

    seconds = parse_duration(options.duration, name="TIME")
    sys.stdout.write(f"It is now {local.advance_clock(seconds)['now']}.\n")
    return 0


def _connect(options: argparse.Namespace) -> int:
    from qsession_widget.local import process as local

    found = local.connection()
    match options.format:
        case "account":
            found.save()
            sys.stdout.write(
                "# Saved as the account 'local' of qiskit-ibm-runtime. It works if these "
                f"variables are set:\n{found.cloud_text()}"
            )
        case "python":
            sys.stdout.write(found.python_text())
        case _:
            sys.stdout.write(found.shell_text())
    return 0


def _user(options: argparse.Namespace) -> int:
    from qsession_widget.local.admin import Administration

    runtime = Administration()
    match options.action:
        case "add":
            token = runtime.add_user(options.name)
            verify = ', verify="certificate.pem"' if runtime.certificate else ""
            sys.stdout.write(
                f"{token}\n\nThis is the token of {options.name}, shown only once. "
                "They join with\n\n"
                "from qsession_widget import QiskitRuntimeService\n"
                f'service = QiskitRuntimeService("local", "{token}", "{runtime.url}"{verify})\n'
            )
            if runtime.certificate:
                sys.stdout.write(_about_certificate(Path(runtime.certificate)))
        case "remove":
            runtime.remove_user(options.name)
            sys.stdout.write(f"Removed {options.name}.\n")
        case _:
            users = runtime.users()
            if not users:
                sys.stdout.write("There are no users. `qsession user add NAME` adds one.\n")
            for each in users:
                sys.stdout.write(f"{each['name']}  since {each['created_at']}\n")
    return 0


def _about_certificate(path: Path) -> str:
    """Return what a user has to know of the runtime's certificate."""
    from qsession_widget.support.fingerprints import sha256_fingerprint

    try:
        fingerprint = sha256_fingerprint(path)
    except (OSError, ValueError) as error:
        fingerprint = f"unknown: {error}"
    return (
        f"\nverify= is their copy of\n{path}\nwith the SHA-256 fingerprint\n{fingerprint}\n"
        "Leave it out if an authority that they trust has signed the certificate.\n"
    )


def _collect(options: argparse.Namespace) -> int:
    from qsession_widget.local.admin import Administration

    done = Administration().collect_garbage(
        retention_days=options.retention_days, max_store_bytes=options.max_store_bytes
    )
    if done["retention_days"] is None and done["max_store_bytes"] is None:
        sys.stdout.write(
            "This runtime keeps everything: it was started without a limit, and none was given. "
            "Set one with --retention-days or --max-store-bytes; 0 removes all finished jobs' "
            "data.\n"
        )
    sys.stdout.write(
        f"Removed inputs and results of {done['jobs']} jobs, {done['characters']:,} characters. "
        f"The store has {done['store_bytes']:,} bytes.\n"
    )
    return 0


def _drain(options: argparse.Namespace) -> int:
    from qsession_widget.local.admin import Administration

    Administration().drain(options.host)
    sys.stdout.write(
        f"{options.host} takes no more jobs, and leaves once those that it has are over.\n"
    )
    return 0


def _demo(options: argparse.Namespace) -> int:
    from qsession_widget.cli import demo

    headless = options.headless or not sys.stdout.isatty()
    return demo.run(headless=headless, jupyter=options.jupyter)


_RUN: dict[str, Callable[[argparse.Namespace], int]] = {
    "status": _status,
    "stop": _stop,
    "sessions": _sessions,
    "jobs": _jobs,
    "close": _close,
    "logs": _logs,
    "cancel": _cancel,
    "connect": _connect,
    "user": _user,
    "gc": _collect,
    "drain": _drain,
    "clock": _clock,
    "store": _store,
    "demo": _demo,
}
