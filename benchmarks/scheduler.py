"""The scheduler's own code on a virtual clock: waiting times, fairness and speed.

Four questions: what a decision costs with a hundred, ten thousand and a million jobs waiting;
what each of ten thousand owners gets when all of them want something at once; how long sessions,
batches and single jobs wait when a million jobs come one by one; and how a class fares with
devices that are reserved for sessions, and with shared ones.
"""

from __future__ import annotations

import gc
import math
import random
import statistics
import time
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec.structs import replace
from rich.console import Console
from rich.table import Table

from benchmarks import measure
from benchmarks.virtual_time import START, Job, World
from qsession_widget.runtime.model.lifecycle import Session
from qsession_widget.runtime.scheduling.scheduler import Scheduler
from qsession_widget.wire.states import Mode, SessionState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

DEVICES = 64
FEW_DEVICES = 4
"""Few devices, so that a hundred jobs are a queue on each."""

OWNERS = 10_000
OF_A_SESSION = 20
JOB_SECONDS = 2.0


class Counted(tuple[Any, ...]):
    """An entry of a heap that counts its comparisons."""

    __slots__ = ()
    comparisons = 0

    def __lt__(self, other: tuple[Any, ...]) -> bool:
        """Compare as tuples do."""
        Counted.comparisons += 1
        return tuple.__lt__(self, other)


class Demand(NamedTuple):
    """A job to run."""

    name: str
    device: str
    owner: str
    session_id: str | None


# -- what a decision costs -----------------------------------------------------------------


def crowd(count: int, rng: random.Random) -> list[Demand]:
    """Return invented waiting jobs, half of them in batches of twenty.

    The number of owners grows with the root of the number of jobs: ten, a hundred, a thousand.
    """
    owners = math.isqrt(count)
    found: list[Demand] = []
    while len(found) < count:
        device, owner = f"d{rng.randrange(FEW_DEVICES)}", f"o{rng.randrange(owners)}"
        number = len(found)
        found += [Demand(f"{number}.{k}", device, owner, f"s{number}") for k in range(OF_A_SESSION)]
        found += [
            Demand(
                f"{number}.{k}", f"d{rng.randrange(FEW_DEVICES)}", f"o{rng.randrange(owners)}", None
            )
            for k in range(OF_A_SESSION, 2 * OF_A_SESSION)
        ]
    return found[:count]


def filled(demands: Sequence[Demand], entry: Callable[[Any], Any] = tuple) -> Scheduler:
    """Return a scheduler in which all jobs wait."""
    scheduler = Scheduler(shared=True, entry=entry)
    for each in demands:
        if each.session_id is not None and each.name.endswith(".0"):
            scheduler.update(opened(each), START)
        scheduler.wait(each.name, device=each.device, owner=each.owner, session_id=each.session_id)
    return scheduler


def opened(demand: Demand) -> Session:
    """Return the session of a job."""
    return Session(
        id=str(demand.session_id),
        owner=demand.owner,
        backend=demand.device,
        mode=Mode.BATCH,
        max_seconds=28_800,
        interactive_seconds=60,
        active_seconds=28_800,
        first_job_seconds=1_800,
        created_at=START,
    )


def decide(scheduler: Scheduler, demands: Sequence[Demand], decisions: int) -> float:
    """End a job, charge it, have its owner send a single one instead, and start the next one.

    A batch becomes active with its first job, and its others follow.

    Returns:
        Seconds of processor time that each took.
    """
    of = {each.name: each for each in demands}
    active = {
        str(each.session_id): replace(opened(each), state=SessionState.ACTIVE)
        for each in demands
        if each.session_id is not None
    }
    running = []
    while (name := scheduler.start_next(START)) is not None:
        running.append(name)
    gc.collect()
    began = time.process_time()
    for number in range(decisions):
        demand = of.pop(running[number % len(running)])
        scheduler.leave(demand.name, START, used_seconds=JOB_SECONDS, completed=True)
        following = Demand(f"again {number}", demand.device, demand.owner, None)
        of[following.name] = following
        scheduler.wait(following.name, device=demand.device, owner=demand.owner)
        started = scheduler.start_next(START)
        if started is None:
            raise RuntimeError(f"nothing starts on {demand.device}, where a job waits")
        session = active.pop(str(of[started].session_id), None)
        if session is not None:
            scheduler.update(session, START)
        running[number % len(running)] = started
    return (time.process_time() - began) / decisions


def costs(sizes: Iterable[int], decisions: int) -> list[dict[str, float]]:
    """Measure and count decisions with more and more jobs waiting."""
    table = Table(title="What a decision costs", title_justify="left")
    for head in ("jobs waiting", "decisions/s", "comparisons each", "over log2 of the jobs"):
        table.add_column(head, justify="right")
    found = []
    for size in sizes:
        demands = crowd(size, random.Random(1))  # noqa: S311 - made-up loads, the same each time
        scheduler = filled(demands)
        seconds = decide(scheduler, demands, decisions)
        scheduler = filled(demands, entry=Counted)
        Counted.comparisons = 0
        decide(scheduler, demands, decisions)
        each = Counted.comparisons / decisions
        row = {
            "waiting": size,
            "per_second": 1 / seconds,
            "comparisons": each,
            "over_log2": each / math.log2(size),
        }
        found.append(row)
        table.add_row(f"{size:,}", f"{1 / seconds:,.0f}", f"{each:.1f}", f"{row['over_log2']:.2f}")
    Console(width=110).print(table)
    return found


# -- shares -------------------------------------------------------------------------


def jain(shares: Sequence[float]) -> float:
    """Return Jain's index: 1 if all have the same, 1/n if one has everything."""
    return sum(shares) ** 2 / (len(shares) * sum(each * each for each in shares))


def fair_shares(demands: Sequence[float], supply: float) -> list[float]:
    """Divide a supply so that no owner can get more without taking from one with less (max-min)."""
    level, left, open_ones = 0.0, supply, sorted(demands)
    while open_ones and open_ones[0] <= (level := left / len(open_ones)):
        left -= open_ones.pop(0)
    return [min(each, level) if open_ones else each for each in demands]


def fairness(owners: int, jobs: int) -> dict[str, float]:
    """Let all owners submit everything at once, and compare their shares at half time."""
    rng = random.Random(2)  # noqa: S311 - made-up loads, the same each time
    weights = [rng.paretovariate(1.2) for _ in range(owners)]
    counts = [max(1, round(jobs * weight / sum(weights))) for weight in weights]
    world = World(shared=True)
    order = sorted(range(owners), key=lambda each: -counts[each])
    for owner in order:
        for number in range(counts[owner]):
            device = f"d{(owner + number) % DEVICES}"
            world.submit(Job("single", device, f"o{owner}", JOB_SECONDS))
    half = sum(counts) * JOB_SECONDS / DEVICES / 2
    began = time.process_time()
    world.run(until=half)
    seconds = time.process_time() - began
    wanted = [count * JOB_SECONDS for count in counts]
    due = fair_shares(wanted, half * DEVICES)
    got = [world.device_seconds[f"o{owner}"] for owner in range(owners)]
    first_come, left = [0.0] * owners, half * DEVICES
    for owner in order:
        first_come[owner] = min(wanted[owner], left)
        left -= first_come[owner]
    found = {
        "owners": owners,
        "jobs": sum(counts),
        "jain": jain([a / b for a, b in zip(got, due, strict=True)]),
        "jain_first_come": jain([a / b for a, b in zip(first_come, due, strict=True)]),
        "jobs_per_second": world.ended / seconds,
    }
    print(
        f"{owners:,} owners send {found['jobs']:,} jobs at once, the greedy ones first. What each "
        f"has at half time, over a fair share:\nJain index {found['jain']:.4f}; first come, first "
        f"served would have {found['jain_first_come']:.4f}. {found['jobs_per_second']:,.0f} jobs/s "
        "simulated.\n"
    )
    return found


# -- waiting times --------------------------------------------------------------------


class Arrivals:
    """Jobs that come one by one: a third in sessions, a third in batches, a third by themselves."""

    def __init__(self, world: World, owners: int, load: float) -> None:
        self._world, self._owners = world, owners
        self._rng = random.Random(3)  # noqa: S311 - made-up loads, the same each time
        self._rate = load * DEVICES / JOB_SECONDS

    def arrive(self, left: int) -> None:
        """Let an owner arrive with work, and plan the next arrival."""
        if left <= 0:
            return
        rng = self._rng
        # Few owners want much, most want little.
        owner = f"o{int(rng.paretovariate(0.6)) % self._owners}"
        device = f"d{rng.randrange(DEVICES)}"
        kind = rng.choices(("session", "batch", "single"), (1, 1, OF_A_SESSION))[0]
        size = 1 if kind == "single" else OF_A_SESSION
        if kind == "session":
            self._iterate(device, owner, self._world.open(device, owner, Mode.DEDICATED), size)
        elif kind == "batch":
            batch = self._world.open(device, owner, Mode.BATCH)
            for _ in range(size):
                self._world.submit(Job(kind, device, owner, self._seconds(), batch))
            self._world.close(batch)
        else:
            self._world.submit(Job(kind, device, owner, self._seconds()))
        following = self._world.now + rng.expovariate(self._rate) * size
        self._world.at(following, partial(self.arrive, left - size))

    def _iterate(self, device: str, owner: str, session_id: str, left: int) -> None:
        if not left:
            self._world.close(session_id)
            return

        def think() -> None:
            following = partial(self._iterate, device, owner, session_id, left - 1)
            self._world.at(self._world.now + self._rng.expovariate(2), following)

        job = Job("session", device, owner, self._seconds(), session_id, then=think)
        self._world.submit(job)

    def _seconds(self) -> float:
        return self._rng.expovariate(1 / JOB_SECONDS)


def steady(owners: int, jobs: int, load: float = 0.9) -> dict[str, Any]:
    """Let jobs arrive one by one, and measure how long they wait."""
    world = World(shared=True)
    world.at(0.0, partial(Arrivals(world, owners, load).arrive, jobs))
    began = time.process_time()
    world.run()
    took = time.process_time() - began
    table = Table(
        title=f"{owners:,} owners, {world.ended:,} jobs on {DEVICES} shared devices, load {load}: "
        "seconds of waiting",
        title_justify="left",
    )
    for head in ("", "jobs", "p50", "p90", "p99", "longest"):
        table.add_column(head, justify="right" if head else "left")
    kinds = {}
    for kind, waits in sorted(world.waits.items()):
        kinds[kind] = percentiles(waits)
        row = kinds[kind]
        figures = (f"{row[name]:.1f}" for name in ("p50", "p90", "p99", "max"))
        table.add_row(kind, f"{len(waits):,}", *figures)
    Console(width=110).print(table)
    print(
        f"{world.now / 3600:,.1f} h of it in {took:.0f} s: {world.ended / took:,.0f} jobs/s, "
        f"{world.events / took:,.0f} events/s, lifecycle included.\n"
    )
    return {"jobs": world.ended, "kinds": kinds, "jobs_per_second": world.ended / took}


def percentiles(values: list[float]) -> dict[str, float]:
    """Return the median, the upper tail and the largest."""
    values.sort()
    at = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
    found = {name: values[int(len(values) * part)] for name, part in at.items()}
    return {**found, "max": values[-1]}


# -- a class -------------------------------------------------------------------------------


def classroom(*, shared: bool, closes: bool, interactive_seconds: int = 60) -> dict[str, float]:
    """Have thirty students iterate in sessions on one device, beside sixty single jobs."""
    world = World(shared=shared, interactive_seconds=interactive_seconds)
    rng = random.Random(4)  # noqa: S311 - made-up loads, the same each time
    done: list[float] = []

    def iterate(owner: str, session_id: str, left: int) -> None:
        if not left:
            done.append(world.now)
            if closes:
                world.close(session_id)
            return

        def think() -> None:
            world.at(world.now + 0.2, partial(iterate, owner, session_id, left - 1))

        world.submit(Job("session", "d", owner, 0.02, session_id, then=think))

    def sits_down(number: int) -> None:
        owner = f"student {number}"
        iterate(owner, world.open("d", owner, Mode.DEDICATED), 100)

    for number in range(30):
        world.at(rng.uniform(0, 30), partial(sits_down, number))
    for number in range(60):
        job = Job("single", "d", f"other {number}", 2.0)
        world.at(rng.uniform(0, 60), partial(world.submit, job))
    world.run()
    busy = sum(world.device_seconds.values())
    return {
        "student_p50": statistics.median(done),
        "student_max": max(done),
        "single_p50": statistics.median(world.waits["single"]),
        "used": busy / max(done),
    }


def classes() -> dict[str, dict[str, float]]:
    """Compare policies for a class."""
    table = Table(
        title="30 students, each a loop of 100 jobs of 20 ms with 0.2 s between them, and 60 "
        "single jobs of 2 s, one device",
        title_justify="left",
    )
    for head in ("", "student done p50 / last, s", "single waits p50, s", "device used"):
        table.add_column(head, justify="right" if head else "left")
    cases = {
        "dedicated, students close": classroom(shared=False, closes=True),
        "dedicated, students forget to": classroom(shared=False, closes=False),
        "dedicated, forget, timeout 5 s": classroom(
            shared=False, closes=False, interactive_seconds=5
        ),
        "shared": classroom(shared=True, closes=True),
    }
    for name, case in cases.items():
        table.add_row(
            name,
            f"{case['student_p50']:.0f} / {case['student_max']:.0f}",
            f"{case['single_p50']:.1f}",
            f"{case['used']:.0%}",
        )
    Console(width=110).print(table)
    return cases


def lanes(jobs: int = 2_000) -> dict[str, float]:
    """Measure the gain of preparing jobs while another one is on the device."""
    table = Table(
        title="A batch whose jobs are prepared for 10 ms, on the device for 20 ms and read out in "
        "5 ms",
        title_justify="left",
    )
    for head in ("lanes", "jobs/s", "device used"):
        table.add_column(head, justify="right")
    found = {}
    for count in (1, 2, 3, 5):
        world = World(shared=False, lanes=count)
        batch = world.open("d", "o", Mode.BATCH)
        for _ in range(jobs):
            job = Job("batch", "d", "o", 0.02, batch, 0.01, 0.005)
            world.submit(job)
        world.close(batch)
        world.run()
        found[str(count)] = jobs / world.now
        table.add_row(str(count), f"{jobs / world.now:.1f}", f"{jobs * 0.02 / world.now:.0%}")
    Console(width=110).print(table)
    return found


def main() -> None:
    """Measure, print, and write the figures to a file if one is named."""
    options = measure.arguments(__doc__ or "").parse_args()
    short = options.short
    figures = {
        "costs": costs((100, 10_000, 100_000 if short else 1_000_000), 2_000 if short else 50_000),
        "fairness": fairness(*((1_000, 50_000) if short else (OWNERS, 1_000_000))),
        "steady": steady(*((1_000, 50_000) if short else (OWNERS, 1_000_000))),
        "classes": classes(),
        "lanes": lanes(),
    }
    measure.write(options.json, figures)


if __name__ == "__main__":
    main()
