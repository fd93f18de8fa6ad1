"""Times contestants in turn, so that load on the machine slows all of them, and compares them."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
from rich.console import Console
from rich.table import Table

from qsession_widget.wire.discovery import Discovery

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

_PACKAGES = ("qsession-widget", "qiskit", "qiskit-aer", "qiskit-ibm-runtime", "numpy", "uvicorn")


@dataclass
class Samples:
    """Times of one contestant in milliseconds, with the round in which each was taken.

    Attributes:
        cpu: processor time for each timed call, in milliseconds: of this process under "client",
            and of the watched ones under their names.
    """

    name: str
    milliseconds: dict[int, float] = field(default_factory=dict)
    cpu: dict[str, float] = field(default_factory=dict)

    @property
    def median(self) -> float:
        """The median."""
        return statistics.median(self.milliseconds.values())

    @property
    def spread(self) -> tuple[float, float]:
        """The range of the middle eight of ten."""
        times = sorted(self.milliseconds.values())
        return times[len(times) // 10], times[(len(times) * 9) // 10]

    def ratio(self, other: Samples) -> float:
        """Return the ratio to another contestant: the median over the rounds that both ran."""
        both = self.milliseconds.keys() & other.milliseconds.keys()
        return statistics.median(
            self.milliseconds[each] / other.milliseconds[each] for each in both
        )


REST_SECONDS = 0.03
"""Pause before each turn: threads of Aer in this process wait busily for a while after a run, which
would count as the next contestant's time."""


def in_turn(
    contestants: Mapping[str, Callable[[int], object]],
    *,
    rounds: int,
    seconds_each: float,
    warm_up: int = 2,
    watched: Mapping[str, Sequence[int]] | None = None,
    in_a_row: Mapping[str, int] | None = None,
) -> list[Samples]:
    """Time one call of each contestant in every round.

    Args:
        contestants: by name; each is given the number of the round.
        rounds: how many.
        seconds_each: a contestant that has used up so much time sits out the other rounds, but
            has three at least.
        warm_up: rounds before the first one that counts; slow contestants take one.
        watched: ids of processes whose processor time is taken as well, by what they are called.
        in_a_row: contestants that are called so often in each round, without a pause; their time
            is the mean of these calls.
    """
    processes = {"client": [os.getpid()], **(watched or {})}
    samples = [Samples(name) for name in contestants]
    for call in contestants.values():
        for number in range(-warm_up, 0):
            started = time.perf_counter()
            call(number)
            if time.perf_counter() - started > seconds_each / 10:
                break
    for number in range(rounds):
        for each in samples:
            spent = sum(each.milliseconds.values()) / 1000
            if spent > seconds_each and len(each.milliseconds) >= min(3, rounds):
                continue
            calls = (in_a_row or {}).get(each.name, 1)
            time.sleep(REST_SECONDS)
            before = {name: cpu_seconds(ids) for name, ids in processes.items()}
            started = time.perf_counter()
            for _ in range(calls):
                contestants[each.name](number)
            each.milliseconds[number] = (time.perf_counter() - started) * 1000 / calls
            for name, ids in processes.items():
                took = (cpu_seconds(ids) - before[name]) * 1000 / calls
                each.cpu[name] = each.cpu.get(name, 0.0) + took
    for each in samples:
        each.cpu = {name: total / len(each.milliseconds) for name, total in each.cpu.items()}
    return samples


def cpu_seconds(process_ids: Sequence[int]) -> float:
    """Return the processor time of processes so far, with all of their threads; 0 off Linux."""
    total = 0
    for process_id in process_ids:
        if process_id == os.getpid():
            # With threads that have ended, which /proc forgets.
            total += time.process_time_ns()
            continue
        for thread in Path(f"/proc/{process_id}/task").glob("*/schedstat"):
            try:
                total += int(thread.read_text().split()[0])
            except OSError:
                # A thread that ended meanwhile.
                continue
    return total / 1e9


def processes_of(home: Path) -> dict[str, list[int]]:
    """Return the ids of a local runtime's processes: its server, and its workers."""
    found = Discovery.read(home)
    if found is None:
        return {}
    server = psutil.Process(found.pid)
    return {
        "server": [server.pid],
        "workers": [each.pid for each in server.children(recursive=True)],
    }


def compare(title: str, samples: Sequence[Samples], against: str) -> None:
    """Print a table: medians, spread, and how many times as long as one of them each takes.

    Where other processes were watched, the processor time for each call follows: of each, and how
    many times as much it is in all. Other programs on the machine hardly change that.
    """
    table = Table(title=title, title_justify="left")
    table.add_column("")
    others = list(dict.fromkeys(name for each in samples for name in each.cpu))
    shown = others if len(others) > 1 else []
    heads = ["median ms", "p10 .. p90", "n", f"ratio to {against}"]
    heads += [f"{name} CPU ms" for name in shown] + (["ratio of all CPU"] if shown else [])
    for head in heads:
        table.add_column(head, justify="right")
    base = next(each for each in samples if each.name == against)
    base_cpu = sum(base.cpu.values())
    for each in samples:
        low, high = each.spread
        table.add_row(
            each.name,
            f"{each.median:.2f}",
            f"{low:.2f} .. {high:.2f}",
            str(len(each.milliseconds)),
            f"{each.ratio(base):.2f}",
            *(f"{each.cpu.get(name, 0.0):.1f}" for name in shown),
            *([f"{sum(each.cpu.values()) / base_cpu:.2f}"] if shown else []),
        )
    Console(width=150).print(table)


def as_json(samples: Sequence[Samples]) -> list[dict[str, Any]]:
    """Return samples with their medians, for a file."""
    return [{**asdict(each), "median": each.median, "spread": each.spread} for each in samples]


def arguments(description: str) -> argparse.ArgumentParser:
    """Return the options that every benchmark has."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--short", action="store_true", help="fewer cases and rounds")
    return parser


def write(path: Path | None, figures: Any) -> None:
    """Write figures and the machine that they come from, if a file is named."""
    if path is not None:
        path.write_text(json.dumps({"machine": machine(), "figures": figures}, indent=1))


def machine() -> dict[str, Any]:
    """Describe where this runs."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        **{name: _version(name) for name in _PACKAGES},
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


@contextmanager
def own_runtime() -> Iterator[Path]:
    """Make a folder of its own this process's runtime, and end what runs in it afterwards."""
    from qsession_widget.local import process  # noqa: PLC0415 - parts of this are measured

    # Byte code is kept, as it is after an installation: else each process compiles all modules.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    with tempfile.TemporaryDirectory(prefix="qsession-benchmark-") as name:
        os.environ["QSESSION_HOME"] = name
        try:
            yield Path(name)
        finally:
            process.stop(folder=Path(name))
