"""`qsession worker ADDRESS`: lends this machine to a runtime, through a Dask scheduler."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qsession_widget.runtime import inheritance
from qsession_widget.runtime.control import fork_server
from qsession_widget.runtime.dask import worker_host
from qsession_widget.runtime.machine import processors

if TYPE_CHECKING:
    from collections.abc import Callable

_AGAIN_SECONDS = 1.0
"""Pause before the scheduler is looked for again."""


def main(arguments: list[str] | None = None) -> int:
    """Serve until a signal, or until the server that uses this host lets it go.

    Returns:
        Exit status: 0 if it was let go, 1 if it is refused.
    """
    inheritance.limit()
    options = _parser().parse_args(arguments)
    os.environ[worker_host.SLOTS] = str(options.slots)
    fork_server.start()
    try:
        # Dask takes half a second, meanwhile workers import Qiskit.
        from qsession_widget.runtime.dask.executor import tls  # noqa: PLC0415 - see above
    except ImportError as error:
        sys.stderr.write(f"qsession worker: {error}: pip install 'qsession-widget[dask]'\n")
        return 1
    # The executor's module has silenced all but what ends the process.
    logging.getLogger("distributed").setLevel(logging.WARNING)
    security = tls(options.tls_ca, options.tls_cert, options.tls_key)
    return asyncio.run(_serve(options, security))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="qsession worker",
        description="Run jobs of a runtime that was started with `qsession serve --executor`. "
        "SIGTERM or Ctrl-C lets jobs finish and leaves; a second one leaves at once.",
    )
    parser.add_argument(
        "address",
        metavar="ADDRESS",
        type=_address,
        help="the Dask scheduler: dask://HOST:PORT, or tls://HOST:PORT",
    )
    parser.add_argument(
        "--slots",
        type=_at_least_one,
        default=processors(),
        metavar="N",
        help="processes that run jobs (default: one for each processor, %(default)s)",
    )
    parser.add_argument("--name", help="name of this host in Dask's own listings")
    parser.add_argument("--tls-ca", type=Path, metavar="FILE", help="authorities that are trusted")
    parser.add_argument("--tls-cert", type=Path, metavar="FILE", help="certificate of this host")
    parser.add_argument(
        "--tls-key", type=Path, metavar="FILE", help="its key, if that is in another file"
    )
    return parser


def _address(text: str) -> str:
    scheme, _, rest = text.rpartition("://")
    if scheme not in {"dask", "tcp", "tls"} or ":" not in rest:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not of the form dask://HOST:PORT or tls://HOST:PORT"
        )
    return f"{'tcp' if scheme == 'dask' else scheme}://{rest}"


def _at_least_one(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is too small; the least is 1")
    return number


async def _serve(options: argparse.Namespace, security: Any) -> int:
    """Be a Dask worker, again and again where the scheduler is lost, until it is over."""
    loop = asyncio.get_running_loop()
    over: asyncio.Future[str] = loop.create_future()

    def end(reason: str = "") -> None:
        if not over.done():
            over.set_result(reason)

    worker_host.on_departure(end)
    for each in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(each, _leave, end)
    member = asyncio.create_task(_stay_member(options, security))
    waiting: list[asyncio.Future[Any]] = [member, over]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    member.cancel()
    await asyncio.wait([member])
    if not over.done():
        return 1
    if over.result():
        sys.stderr.write(f"qsession worker: this host is refused. {over.result()}\n")
        return 1
    return 0


_asked: list[bool] = []


def _leave(end: Callable[[], None]) -> None:
    """Ask the servers to be let go; leave at once where there is none, or it was asked before."""
    hosts = worker_host.hosts()
    if _asked or not hosts:
        end()
        return
    _asked.append(True)
    for each in hosts:
        each.ask_to_leave()


async def _stay_member(options: argparse.Namespace, security: Any) -> None:
    from distributed import Worker  # noqa: PLC0415 - loaded by now

    waiting = False
    while True:
        try:
            async with Worker(
                options.address,
                nthreads=1,
                name=options.name,
                security=security,
                # Only its own memory would count, not that of the processes that run jobs.
                memory_limit=0,
                dashboard=False,
            ) as worker:
                _say(f"has joined {options.address} with {options.slots} slots")
                waiting = False
                await worker.finished()
        except (OSError, RuntimeError, TimeoutError) as error:
            if not waiting:
                _say(f"waits for the scheduler {options.address}: {error}")
                waiting = True
        finally:
            worker_host.end_all()
        await asyncio.sleep(_AGAIN_SECONDS)


def _say(what: str) -> None:
    sys.stderr.write(f"qsession worker: {what}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    raise SystemExit(main())
