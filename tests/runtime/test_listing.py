"""The index of lists agrees with the rows after any changes, even those of another program."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections import defaultdict
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import pytest
from alembic import command
from alembic.config import Config
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from sqlalchemy import create_engine

from qsession_widget.runtime.store import (
    bitmaps,
    database,
    idempotency,
    listing,
    long_texts,
    migrations,
    queries,
    retention,
    store,
    usage,
    workloads,
)
from qsession_widget.runtime.store.database import Sqlite
from qsession_widget.runtime.store.store import JobFilter, Store
from qsession_widget.runtime.store.writes import AddSession, DeleteJob, Retag, Update, index
from qsession_widget.wire.states import FINAL_JOB_STATES, JobState, Mode, SessionState
from tests.conftest import eventually
from tests.runtime.test_store import NOON, a_job, a_session, new, opened

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path

    from sqlalchemy import Connection, Engine

    from qsession_widget.runtime.model.job import Job

Table = list[dict[str, Any]]


def table(connection: sqlite3.Connection, query: str) -> Table:
    cursor = connection.execute(query)
    names = [each[0] for each in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]


def facets_of(row: dict[str, Any]) -> set[str]:
    """Return what the index should hold for a row of jobs or sessions."""
    found = {f"backend={row['backend']}"}
    if "mode" in row:
        found.add(f"mode={row['mode']}")
        if row["state"] != "closed":
            found.add("unfinished")
        elif row["cancelled"]:
            found.add("cancelled")
        return found
    names = json.loads(row["tags"])
    found |= {"jobs", f"program={row['program_id']}", *(f"tag={name}" for name in names)}
    found.add("alone" if row["session_id"] is None else f"session={row['session_id']}")
    if names:
        found.add("tagged")
    if row["state"] in {"Queued", "Running"}:
        found.add("unfinished")
    elif row["state"] != "Completed":
        found.add(row["state"].lower())
    return found


def check(path: Path) -> None:
    """Compare the index of a store with its rows."""
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("select count(*) from unlisted").fetchone() == (0,)
        rows = [
            *table(connection, "select * from jobs"),
            *table(connection, "select * from sessions"),
        ]
        entries = {row["id"]: row for row in table(connection, "select * from entries")}
        assert entries.keys() == {row["id"] for row in rows}
        expected: defaultdict[tuple[str, str], set[int]] = defaultdict(set)
        for row in rows:
            entry = entries[row["id"]]
            assert (entry["owner"], entry["created_at"]) == (row["owner"], row["created_at"])
            for name in facets_of(row):
                expected[row["owner"], name].add(entry["number"])
        found: defaultdict[tuple[str, str], set[int]] = defaultdict(set)
        for row in table(connection, "select * from facets"):
            bits = bitmaps.union([(row["block"], row["bits"])])
            numbers = bitmaps.page(bits, 0, bitmaps.BLOCK, ascending=True)
            found[row["owner"], row["name"]].update(numbers)
        assert found == expected
        for owner in {row["owner"] for row in rows}:
            own = sorted(
                (row["number"], row["created_at"])
                for row in entries.values()
                if row["owner"] == owner
            )
            assert [each[1] for each in own] == sorted(each[1] for each in own)
        tags = {
            (row["owner"], row["name"]): row["jobs"]
            for row in table(connection, "select * from tags")
        }
        assert tags == {
            (owner, name.removeprefix("tag=")): len(numbers)
            for (owner, name), numbers in expected.items()
            if name.startswith("tag=")
        }


STATES = st.sampled_from(JobState)
TAGS = st.lists(st.sampled_from(("x", "y", "xy", "ü")), max_size=2, unique=True).map(tuple)
STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("add"),
            st.integers(0, 40),
            st.fixed_dictionaries(
                {
                    "created_at": st.integers(0, 5).map(lambda days: NOON + timedelta(days=days)),
                    "owner": st.sampled_from("op"),
                    "session_id": st.sampled_from((None, "5e55")),
                    "backend": st.sampled_from(("fake_manila", "mock_manila")),
                    "program_id": st.sampled_from(("sampler", "estimator")),
                    "tags": TAGS,
                    "state": STATES,
                }
            ),
        ),
        st.tuples(st.just("state"), st.integers(0, 40), STATES),
        st.tuples(st.just("tags"), st.integers(0, 40), TAGS),
        st.tuples(st.just("delete"), st.integers(0, 40), st.none()),
        st.tuples(st.just("close"), st.just(0), st.booleans()),
    ),
    max_size=30,
)


def timed(job: Job) -> Job:
    """Return a job with the times that its state requires."""
    begun = job.created_at + timedelta(seconds=1)
    if job.state is JobState.QUEUED:
        return replace(job, started_at=None, ended_at=None)
    ended = begun + timedelta(seconds=2.5) if job.state.final else None
    return replace(job, started_at=begun, preparing_at=begun, ended_at=ended)


class Model:
    """The rows as Python objects, and what lists of them are."""

    def __init__(self) -> None:
        self.session = a_session("5e55", mode=Mode.BATCH)
        self.jobs: dict[str, Job] = {}

    def change(self, what: str, number: int, how: Any) -> Any:
        """Carry out a step; return the change of the store, None if there is none."""
        if what == "close":
            self.session = replace(self.session, state=SessionState.CLOSED, cancelled=how)
            return Update(sessions=(self.session,))
        name = f"{number:03}"
        if what == "add":
            if name in self.jobs:
                return None
            self.jobs[name] = timed(a_job(name, **how))
            return new(self.jobs[name])
        job = self.jobs.get(name)
        return None if job is None else self.change_job(job, what, how)

    def change_job(self, job: Job, what: str, how: Any) -> Any:
        if what == "delete":
            del self.jobs[job.id]
            return DeleteJob(job.id)
        if what == "tags":
            self.jobs[job.id] = replace(job, tags=how)
            return Retag(self.jobs[job.id])
        if job.state.final:
            return None
        self.jobs[job.id] = timed(replace(job, state=how))
        return Update(jobs=(self.jobs[job.id],))

    def listed(self, wanted: JobFilter) -> set[str]:
        return {job.id for job in self.jobs.values() if job.owner == "o" and _fits(job, wanted)}


def _fits(job: Job, wanted: JobFilter) -> bool:
    return (
        wanted.backend in {None, job.backend}
        and wanted.session_id in {None, job.session_id}
        and wanted.program_id in {None, job.program_id}
        and wanted.pending in {None, not job.state.final}
        and set(wanted.tags) <= set(job.tags)
        and (wanted.mocks or not job.backend.startswith("mock_"))
        and (wanted.created_after is None or job.created_at >= wanted.created_after)
        and (wanted.created_before is None or job.created_at <= wanted.created_before)
    )


OFFSET = 150
MANY = 10_000
UNFINISHED = 50

FILTERS = (
    JobFilter(),
    JobFilter(backend="fake_manila", pending=True),
    JobFilter(session_id="5e55", program_id="sampler"),
    JobFilter(tags=("x",), pending=False),
    JobFilter(tags=("x", "y")),
    JobFilter(mocks=False),
    JobFilter(created_after=NOON + timedelta(days=1), created_before=NOON + timedelta(days=3)),
    JobFilter(created_after=NOON + timedelta(days=9)),
    JobFilter(created_before=NOON - timedelta(days=9)),
)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(STEPS, st.booleans())
async def test_lists_are_as_the_rows(
    tmp_path_factory: pytest.TempPathFactory, steps: list[Any], together: bool
) -> None:
    folder = tmp_path_factory.mktemp("listing")
    model = Model()
    with opened(folder) as found:
        await found.write(AddSession(model.session, None))
        pending = [found.write(each) for step in steps if (each := model.change(*step)) is not None]
        await asyncio.gather(*pending)
        await found.jobs("o", JobFilter())
        check(folder / "runtime.db")
        for wanted in FILTERS:
            expected = model.listed(wanted)
            whole = replace_filter(wanted, limit=200, ascending=together)
            jobs, total = await found.jobs("o", whole)
            assert ({job.id for job in jobs}, total) == (expected, len(expected)), wanted
            times = [job.created_at for job in jobs]
            assert times == sorted(times, reverse=not together)
            some, again = await found.jobs("o", replace_filter(whole, offset=2, limit=3))
            assert (some, again) == (jobs[2:5], total)
        used = sum(job.device_seconds for job in model.jobs.values() if job.owner == "o")
        assert await found.read_lists(usage.used_seconds, "o") == pytest.approx(used)
        await check_workloads(found, model)


def replace_filter(wanted: JobFilter, **changes: Any) -> JobFilter:
    return JobFilter(**{**vars(wanted), **changes})


STATUSES = {
    JobState.QUEUED: "pending",
    JobState.RUNNING: "in_progress",
    JobState.COMPLETED: "completed",
    JobState.CANCELLED: "canceled",
    JobState.FAILED: "failed",
}


async def check_workloads(found: Store, model: Model) -> None:
    alone = [job for job in model.jobs.values() if job.owner == "o" and job.session_id is None]
    status = {job.id: STATUSES[job.state] for job in alone}
    session = model.session
    if session.state is SessionState.OPEN:
        status["5e55"] = "pending"
    else:
        status["5e55"] = "canceled" if session.cancelled else "completed"
    tags = {job.id: job.tags for job in alone} | {"5e55": ()}

    async def listed(**wanted: Any) -> set[str]:
        rows, total = await found.read_lists(
            workloads.read, "o", workloads.Wanted(limit=200, **wanted)
        )
        assert total == len(rows)
        assert all(row.status == status[row.id] for row in rows)
        return {row.id for row in rows}

    assert await listed() == status.keys()
    for each in {*STATUSES.values()}:
        assert await listed(statuses=(each,)) == {
            name for name, known in status.items() if known == each
        }
    assert await listed(modes=("job",)) == status.keys() - {"5e55"}
    assert await listed(modes=("batch",)) == {"5e55"}
    assert await listed(modes=("dedicated",)) == set()
    for text in ("x", "X", "xy", "ü", "02", "5E", "5e55", "%", "-"):
        assert await listed(search=text) == {
            name
            for name in status
            if text.lower() in name or any(text.lower() in tag for tag in tags[name])
        }, text
    names = {tag for job in model.jobs.values() if job.owner == "o" for tag in job.tags}
    for text in ("", "x", "ü"):
        assert await found.read_lists(workloads.tags, "o", text, 100) == sorted(
            name for name in names if text in name
        )


async def test_a_session_in_progress_is_listed_so(tmp_path: Path) -> None:
    with opened(tmp_path) as found:
        for name, state in (("open", SessionState.OPEN), ("active", SessionState.ACTIVE)):
            await found.write(AddSession(a_session(name), None))
            await found.write(Update(sessions=(a_session(name, state=state),)))
        for status, name in (("pending", "open"), ("in_progress", "active")):
            wanted = workloads.Wanted(statuses=(status,))
            rows, total = await found.read_lists(workloads.read, "o", wanted)
            assert ([row.id for row in rows], total) == ([name], 1)


async def test_what_is_written_is_in_the_next_list(tmp_path: Path) -> None:
    with opened(tmp_path) as found:
        for at in range(20):
            await found.write(new(a_job(str(at))))
            assert (await found.jobs("o", JobFilter()))[1] == at + 1


async def test_lists_are_indexed_now_and_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next run of the runtime has little to index, even if no list is read."""
    monkeypatch.setattr(store, "INDEX_SECONDS", 3_600.0)
    with opened(tmp_path) as found:
        for at in range(store.INDEX_COMMITS):
            await found.write(new(a_job(str(at))))
        eventually(found._listed.is_set)
        check(tmp_path / "runtime.db")
        monkeypatch.setattr(store, "INDEX_SECONDS", 0.001)
        await found.write(new(a_job("last")))
        eventually(found._listed.is_set)
        check(tmp_path / "runtime.db")


async def test_lists_are_read_while_the_file_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lists may lack earlier commits until the index can be written again."""
    monkeypatch.setattr(database, "BUSY_MILLISECONDS", 20)
    monkeypatch.setattr(store, "RETRY_SECONDS", 0.02)
    monkeypatch.setattr(store, "INDEX_SECONDS", 3_600.0)
    with opened(tmp_path) as found:
        for name in "ab":
            await found.write(new(a_job(name)))
        assert (await found.jobs("o", JobFilter()))[1] == 2
        await found.write(new(a_job("c")))
        await found.write(DeleteJob("a"))
        monkeypatch.setattr(store, "INDEX_SECONDS", 0.01)
        with closing(sqlite3.connect(tmp_path / "runtime.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            listed, _ = await found.jobs("o", JobFilter())
            assert [job.id for job in listed] == ["b"]
            assert not found.available
            other.execute("ROLLBACK")
        eventually(lambda: found.available)
        listed, total = await found.jobs("o", JobFilter())
        assert ([job.id for job in listed], total) == (["c", "b"], 2)


# -- what it costs ----------------------------------------------------------------------------

SEARCH_OF_IDS = "SCAN entries USING COVERING INDEX"
"""A part of an id may be anywhere in any id."""

JOB_FILTERS = (*FILTERS, JobFilter(offset=OFFSET), JobFilter(offset=OFFSET, ascending=True))
WANTED = (
    workloads.Wanted(),
    workloads.Wanted(offset=OFFSET),
    workloads.Wanted(statuses=("completed", "in_progress"), modes=("job",)),
    workloads.Wanted(statuses=("failed",), tags=("x",), backend="fake_manila"),
    workloads.Wanted(search="tag"),
    workloads.Wanted(search="tag7"),
    workloads.Wanted(search="no such tag"),
    workloads.Wanted(created_after=NOON + timedelta(seconds=10), ascending=True),
)
Query = Callable[["Connection"], Any]


def queries_of_lists() -> dict[str, Query]:
    found: dict[str, Query] = {f"jobs {each}": partial(_jobs, wanted=each) for each in JOB_FILTERS}
    found |= {f"workloads {at}": partial(_workloads, wanted=each) for at, each in enumerate(WANTED)}
    for search in ("", "tag", "7"):
        found[f"tags {search}"] = partial(_tags, search=search)
    found["usage"] = partial(usage.used_seconds, owner="o")
    return found


def _jobs(connection: Connection, wanted: JobFilter) -> Any:
    return queries.read_jobs(connection, "o", wanted)


def _workloads(connection: Connection, wanted: workloads.Wanted) -> Any:
    return workloads.read(connection, "o", wanted)


def _tags(connection: Connection, search: str) -> Any:
    return workloads.tags(connection, "o", search, 200)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[int], Engine]]:
    """Return a store with so many jobs of each kind; each is made only once."""
    made: dict[int, Engine] = {}

    def make(count: int) -> Engine:
        if count in made:
            return made[count]
        path = older_store(tmp_path_factory.mktemp("filled"), count)
        filled = Sqlite(path, 0)
        database.migrate(filled)
        engine = filled.engine
        more = True
        while more:
            with engine.begin() as connection:
                more = index(connection)
        made[count] = engine
        return engine

    yield make
    for each in made.values():
        each.dispose()


def driver(connection: Connection) -> sqlite3.Connection:
    return cast("sqlite3.Connection", database.driver(connection))


def statements(engine: Engine, query: Query) -> list[str]:
    """Return the SQL that a query executes, with its values."""
    asked: list[str] = []
    with engine.connect() as connection:
        driver(connection).set_trace_callback(asked.append)
        try:
            query(connection)
        finally:
            driver(connection).set_trace_callback(None)
    return [each for each in asked if each.lstrip().upper().startswith("SELECT")]


def plans(engine: Engine, asked: list[str]) -> list[str]:
    """Return the steps of SQLite's plans."""
    with engine.connect() as connection:
        return [
            str(step[3])
            for each in asked
            for step in driver(connection).execute(f"EXPLAIN QUERY PLAN {each}")
        ]


@pytest.mark.parametrize("name", queries_of_lists())
def test_no_list_scans_a_table(filled: Callable[[int], Engine], name: str) -> None:
    engine = filled(100)
    asked = statements(engine, queries_of_lists()[name])
    assert asked
    scans = [each for each in plans(engine, asked) if each.startswith("SCAN")]
    # The numbers of a page, and the few jobs that run.
    allowed = ("VIRTUAL TABLE", "SCAN j USING INDEX jobs_unfinished")
    assert not [each for each in scans if not any(name in each for name in allowed)]


def test_what_was_let_go_of_is_counted_without_a_look_at_what_is_kept(
    filled: Callable[[int], Engine],
) -> None:
    engine = filled(100)
    found = plans(engine, statements(engine, long_texts.dropped_bytes))
    assert not [each for each in found if "SCAN" in each and "long_texts_dropped" not in each]


def test_only_a_search_for_a_part_of_an_id_reads_all_ids(filled: Callable[[int], Engine]) -> None:
    engine = filled(100)
    asked = statements(engine, partial(_workloads, wanted=workloads.Wanted(search="00")))
    assert [each for each in plans(engine, asked) if each.startswith("SCAN entries")] == [
        each for each in plans(engine, asked) if each.startswith(SEARCH_OF_IDS)
    ]


def steps(engine: Engine, query: Query) -> int:
    """Return how many hundreds of SQLite's instructions a query takes."""
    with engine.connect() as connection:
        return taken(connection, query)


def taken(connection: Connection, query: Query) -> int:
    calls: list[int] = []
    driver(connection).set_progress_handler(lambda: calls.append(1), 100)
    try:
        query(connection)
    finally:
        driver(connection).set_progress_handler(None, 0)
    return len(calls)


def _beyond(connection: Connection, before: datetime) -> Any:
    return retention._beyond(connection, before, None, None)


@pytest.mark.parametrize("name", queries_of_lists())
def test_no_list_takes_more_steps_with_more_jobs(
    filled: Callable[[int], Engine], name: str
) -> None:
    query = queries_of_lists()[name]
    few, many = (steps(filled(count), query) for count in (1_000, MANY))
    assert many <= 1.5 * few + 5, (few, many)


def start(connection: Connection) -> None:
    """Read what a runtime reads when it starts."""
    usage.newest_time(connection)
    usage.recent_use(connection, NOON, shared=False)
    queries.read_unfinished(connection)
    idempotency.latest(connection, 100)


def test_a_start_takes_no_more_steps_with_more_jobs(filled: Callable[[int], Engine]) -> None:
    few, many = (steps(filled(count), start) for count in (1_000, MANY))
    assert many <= 1.5 * few + 5, (few, many)
    found = plans(filled(1_000), statements(filled(1_000), start))
    scans = [each for each in found if each.startswith("SCAN jobs")]
    assert set(scans) <= {"SCAN jobs USING INDEX jobs_unfinished", "SCAN jobs"}, scans


@pytest.mark.parametrize("pruned", [0, 300])
def test_gc_reads_what_it_removes(filled: Callable[[int], Engine], pruned: int) -> None:
    """Neither jobs that stay nor those that were pruned earlier are read."""
    found: list[int] = []
    for count in (1_000, MANY):
        with filled(count).connect() as connection:
            driver(connection).execute("BEGIN")
            first = "select id from jobs where ended_at is not null order by ended_at limit ?"
            driver(connection).execute(
                f"update jobs set pruned = 1 where id in ({first})",  # noqa: S608 - see above
                (pruned * count // 1_000,),
            )
            ((oldest,),) = driver(connection).execute(
                "select min(ended_at) from jobs where not pruned and ended_at is not null"
            )
            before = NOON + timedelta(microseconds=oldest - int(NOON.timestamp() * 1e6) + 1)
            _, chosen = retention._beyond(connection, before, None, None)
            assert 0 < len(chosen) < 5
            found.append(taken(connection, partial(_beyond, before=before)))
            connection.rollback()
    few, many = found
    assert many <= 1.5 * few + 5, found


# -- stores of earlier releases ----------------------------------------------------------------


def state_of(at: int) -> JobState:
    """Return a state: the first jobs are in any, and the others have ended."""
    return list(JobState)[at % 5 if at < UNFINISHED else 2 + at % 3]


def older_store(folder: Path, jobs: int) -> Path:
    """Make a store of the release before the index, with jobs in all states."""
    path = folder / "runtime.db"
    config = Config()
    config.set_main_option("script_location", str(next(iter(migrations.__path__))))
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0008")
        for at in range(jobs):
            made = NOON + timedelta(seconds=at * 7919 % jobs)
            micro = int(made.timestamp() * 1e6)
            state = state_of(at)
            final = state in FINAL_JOB_STATES
            connection.exec_driver_sql(
                "insert into jobs (id, owner, backend, program_id, created_at, state, started_at, "
                "ended_at, attempts, optimization_level, private, tags, revision) "
                "values (?, ?, 'fake_manila', 'sampler', ?, ?, ?, ?, 1, 1, 0, ?, ?)",
                (
                    f"{at:05}",
                    "op"[at % 2],
                    micro,
                    state.value,
                    micro + 1_000_000 if final else None,
                    micro + 3_000_000 if final else None,
                    json.dumps([f"tag{at % 7}"] if at % 3 else []),
                    at + 1,
                ),
            )
    engine.dispose()
    return path


async def test_a_store_of_an_older_release_is_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "PART", 500)
    count = 1_203
    path = older_store(tmp_path, count)
    with closing(Store(Sqlite(path))) as found:
        jobs, total = await found.jobs("o", JobFilter(limit=200, ascending=True, pending=False))
        assert total == sum(state_of(at).final for at in range(0, count, 2))
        assert [job.created_at for job in jobs] == sorted(job.created_at for job in jobs)
        assert await found.read_lists(usage.used_seconds, "o") == 2.0 * total
        assert await found.read_lists(workloads.tags, "p", "", 99) == [f"tag{n}" for n in range(7)]
        check(path)
        assert found.read_at_start(usage.newest_time) == NOON + timedelta(seconds=count - 1 + 3)


def test_an_index_that_is_half_made_is_finished_at_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "PART", 500)
    path = older_store(tmp_path, 1_203)
    kept = Sqlite(path, 0)
    database.migrate(kept)
    engine = kept.engine

    def used() -> list[list[usage.Used]]:
        with engine.connect() as connection:
            return [usage.recent_use(connection, NOON, shared=each) for each in (True, False)]

    before = used()
    with engine.begin() as connection:
        assert index(connection)
    with engine.connect() as connection, connection.begin() as transaction:
        assert index(connection), "and the process is gone"
        transaction.rollback()
    halfway = used()
    assert [sorted(each) for each in halfway] == [sorted(each) for each in before]
    assert before[0]
    engine.dispose()
    with closing(Store(Sqlite(path))) as found:
        eventually(found._listed.is_set)
        check(path)
        after = found.read_at_start(partial(usage.recent_use, shared=True), NOON)
        assert sorted(after) == sorted(before[0])


async def test_what_another_program_wrote_is_listed(tmp_path: Path) -> None:
    with opened(tmp_path) as found:
        await found.write(new(a_job("a", state=JobState.COMPLETED, ended_at=NOON)))
    with closing(sqlite3.connect(tmp_path / "runtime.db")) as connection, connection:
        row = table(connection, "select * from jobs")[0]
        marks = ",".join("?" * len(row))
        for name in "bc":
            connection.execute(
                f"insert into jobs values ({marks})",  # noqa: S608 - marks
                tuple({**row, "id": name, "tags": '["z"]'}.values()),
            )
        connection.execute("delete from jobs where id = 'a'")
    with opened(tmp_path) as found:
        jobs, total = await found.jobs("o", JobFilter(tags=("z",)))
        assert ([job.id for job in jobs], total) == (["c", "b"], 2)
        check(tmp_path / "runtime.db")
