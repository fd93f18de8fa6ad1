"""The store on real SQLite files."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from msgspec.structs import asdict, replace
from sqlalchemy import Engine, MetaData, Table, create_engine, event
from sqlalchemy.exc import IntegrityError, OperationalError

from qsession_widget.runtime.model import lifecycle
from qsession_widget.runtime.model.job import Job
from qsession_widget.runtime.model.lifecycle import Session
from qsession_widget.runtime.store import (
    database,
    idempotency,
    migrations,
    schema,
    store,
    workloads,
)
from qsession_widget.runtime.store.database import Sqlite
from qsession_widget.runtime.store.store import (
    DuplicateKeyError,
    JobFilter,
    Store,
    StoreUnavailableError,
    StoreUnreadableError,
)
from qsession_widget.runtime.store.writes import AddJob, AddSession, DeleteJob, Retag, Update
from qsession_widget.wire.states import FINAL_JOB_STATES, JobState, Mode, SessionState
from tests.conftest import DEADLINE_SECONDS
from tests.runtime import stores
from tests.runtime.stores import on_both, rows

if TYPE_CHECKING:
    from collections.abc import Iterator

INDEX = ("unlisted", "entries", "facets", "tags", "usage")
TABLES = (
    *("sessions", "jobs", "payloads", "results", "users", "clock", "long_texts", "pieces"),
    "job_tags",
    *INDEX,
)
NOON = datetime(2026, 11, 22, 12, 0, 0, 123456, tzinfo=UTC)


def a_session(name: str = "s", **fields: Any) -> Session:
    given: dict[str, Any] = {
        "id": name,
        "owner": "o",
        "backend": "fake_manila",
        "mode": Mode.DEDICATED,
        "max_seconds": 100,
        "interactive_seconds": 60,
        "active_seconds": 90,
        "first_job_seconds": 1_800,
        "created_at": NOON,
        "revision": 1,
    }
    return lifecycle.create(Session(**(given | fields)))


def a_job(name: str = "j", **fields: Any) -> Job:
    given: dict[str, Any] = {
        "id": name,
        "owner": "o",
        "backend": "fake_manila",
        "program_id": "sampler",
        "created_at": NOON,
        "revision": 1,
    }
    return Job(**(given | fields))


def new(job: Job, key: str | None = None, params: str = "{}") -> AddJob:
    return AddJob(job, params, key)


@contextmanager
def opened(folder: Path) -> Iterator[Store]:
    with closing(Store(stores.database(folder))) as found:
        yield found


def outcomes(*futures: asyncio.Future[None]) -> Any:
    return asyncio.gather(*futures, return_exceptions=True)


# -- schema --------------------------------------------------------------------------------


def test_migrations_from_empty_lead_to_the_schema(tmp_path: Path) -> None:
    with opened(tmp_path):
        pass
    engine = create_engine(f"sqlite:///{tmp_path / 'runtime.db'}")
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, schema.metadata) == []
        assert set(schema.metadata.tables) == set(TABLES)
    engine.dispose()


def test_a_second_start_migrates_nothing(tmp_path: Path) -> None:
    with opened(tmp_path):
        pass
    before = rows(tmp_path, "select name, sql from sqlite_master order by name")
    statements: list[str] = []

    def note(_c: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        statements.append(statement)

    database = Sqlite(tmp_path / "runtime.db")
    event.listen(database.engine, "before_cursor_execute", note)
    Store(database).close()
    assert rows(tmp_path, "select name, sql from sqlite_master order by name") == before
    assert statements, "the second start checked the schema"
    assert not [each for each in statements if each.lstrip().upper().startswith("CREATE")]


def test_a_start_on_a_migrated_store_needs_neither_alembic_nor_postgresql(tmp_path: Path) -> None:
    with opened(tmp_path):
        pass
    program = (
        "import sys; from pathlib import Path;"
        "from qsession_widget.runtime.store.database import Sqlite;"
        "from qsession_widget.runtime.store.store import Store;"
        f"Store(Sqlite(Path({str(tmp_path / 'runtime.db')!r}))).close();"
        "print([each for each in ('alembic', 'sqlalchemy.dialects.postgresql', 'psycopg') "
        "if each in sys.modules])"
    )
    arguments = [sys.executable, "-c", program]
    done = subprocess.run(arguments, check=True, capture_output=True, text=True)  # noqa: S603 - ours
    assert done.stdout == "[]\n"


def test_a_store_of_a_newer_release_is_refused(tmp_path: Path) -> None:
    with opened(tmp_path):
        pass
    with closing(sqlite3.connect(tmp_path / "runtime.db")) as connection:
        connection.execute("update alembic_version set version_num = '9999'")
        connection.commit()
    with pytest.raises(StoreUnreadableError, match="9999"):
        Store(Sqlite(tmp_path / "runtime.db"))


def test_files_of_migrations_begin_with_their_revisions() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    scripts = ScriptDirectory.from_config(config)
    found = {Path(each.path).name.partition("_")[0]: each for each in scripts.walk_revisions()}
    assert {name: each.revision for name, each in found.items()} == {each: each for each in found}
    assert max(found) == scripts.get_current_head()


def test_a_store_of_an_older_release_is_migrated(tmp_path: Path) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    engine = create_engine(f"sqlite:///{tmp_path / 'runtime.db'}")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0004")
        old = a_job(tags=("x",))
        known = {**asdict(old), "created_at": int(NOON.timestamp() * 1e6)}
        del known["pubs"]
        connection.execute(Table("jobs", MetaData(), autoload_with=connection).insert(), known)
    engine.dispose()
    with opened(tmp_path) as found:
        assert found.unfinished() == ([], [old], 1)
        assert old.pubs is None
        assert rows(tmp_path, "select job_id, tag from job_tags") == [("j", "x")]


def test_sessions_that_an_older_release_cancelled_stay_cancelled(tmp_path: Path) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    engine = create_engine(f"sqlite:///{tmp_path / 'runtime.db'}")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0007")
        table = Table("sessions", MetaData(), autoload_with=connection)
        for name, reason in (("a", lifecycle.CANCELLED_BY_USER), ("b", "closed by its user")):
            known = asdict(a_session(name, accepting_jobs=False, state_reason=reason))
            instant = int(NOON.timestamp() * 1e6)
            known |= {"created_at": instant, "idle_since": instant, "transitions": []}
            kept = {column: known[column] for column in table.c.keys() & known.keys()}
            connection.execute(table.insert(), kept)
    engine.dispose()
    with opened(tmp_path) as found:
        sessions, *_ = found.unfinished()
        assert {each.id: each.cancelled for each in sessions} == {"a": True, "b": False}


def test_unfinished_jobs_are_found_by_an_index(tmp_path: Path) -> None:
    with opened(tmp_path):
        pass
    unfinished = schema.UNFINISHED
    states = " union ".join(f"select '{state}' as state" for state in JobState)
    found = rows(tmp_path, f"select state from ({states}) where {unfinished}")  # noqa: S608 - ours
    assert {state for (state,) in found} == set(JobState) - FINAL_JOB_STATES
    for where in (f"session_id = 's' and {unfinished}", unfinished):
        asked = f"select state, count(*) from jobs where {where} group by state"  # noqa: S608 - ours
        plan = str(rows(tmp_path, f"explain query plan {asked}"))
        assert "USING COVERING INDEX jobs_unfinished" in plan


def test_an_interrupted_migration_is_rolled_back(tmp_path: Path) -> None:
    database = Sqlite(tmp_path / "runtime.db")

    def fail(_c: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if "CREATE TABLE results" in statement:
            raise KeyboardInterrupt

    event.listen(database.engine, "before_cursor_execute", fail)
    with pytest.raises(KeyboardInterrupt):
        Store(database)
    database.engine.dispose()
    assert rows(tmp_path, "select name from sqlite_master") == []
    with opened(tmp_path) as found:
        assert found.unfinished() == ([], [], 0)


async def test_files_are_private_to_their_owner(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with opened(home) as found:
        assert stat.S_IMODE(home.stat().st_mode) == 0o700
        await found.write(new(a_job()))
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in home.iterdir()}
        assert modes.keys() >= {"runtime.db", "runtime.db-wal"}
        assert set(modes.values()) == {0o600}, modes


# -- durability ---------------------------------------------------------


@on_both
async def test_what_is_written_is_read_unchanged(tmp_path: Path) -> None:
    session = a_session(
        state=SessionState.ACTIVE,
        started_at=NOON,
        activated_at=NOON,
        last_job_started=NOON + timedelta(microseconds=1),
        used_seconds=1.25,
        on_device_seconds=0.5,
        preparing_seconds=0.25,
        busy_seconds=1.0,
        busy_since=NOON,
        revision=7,
    )
    job = a_job(
        session_id="s",
        state=JobState.RUNNING,
        started_at=NOON,
        preparing_at=NOON,
        on_device_at=NOON + timedelta(seconds=1),
        post_processing_at=NOON + timedelta(seconds=2),
        attempts=2,
        cost_seconds=5,
        optimization_level=3,
        private=True,
        image="a:b",
        log_level="DEBUG",
        tags=("x", "ü"),
        pubs=3,
        revision=9,
    )

    async def read(found: Store) -> None:
        assert await found.job("o", "j") == job
        assert await found.session("o", "s") == replace(session, running=1)
        assert await found.params("j") == '{"pubs":[]}'
        assert await found.result("j") is None

    with opened(tmp_path) as found:
        await found.write(AddSession(session, None))
        await found.write(new(job, params='{"pubs":[]}'))
        await read(found)
    with opened(tmp_path) as found:
        await read(found)
        sessions, jobs, revision = found.unfinished()
        assert (sessions, jobs, revision) == (
            [replace(session, running=1)],
            [job],
            9,
        )


async def test_an_acknowledged_write_is_on_disk(tmp_path: Path) -> None:
    with opened(tmp_path) as found:
        for number in range(20):
            await found.write(new(a_job(str(number))))
            ((count,),) = rows(tmp_path, "select count(*) from jobs")
            assert count == number + 1
        ((mode,),) = rows(tmp_path, "pragma journal_mode")
        assert mode == "wal"
        with found._engine.connect() as connection:
            assert connection.exec_driver_sql("pragma synchronous").scalar() == 2, "FULL"


@on_both
async def test_tags_are_rows_of_a_table(tmp_path: Path) -> None:
    query = "select job_id, tag from job_tags order by job_id, tag"
    with opened(tmp_path) as found:
        job = a_job(tags=("b", "a", "b"))
        await found.write(new(job))
        await found.write(new(a_job("k", tags=("a",))))
        assert rows(tmp_path, query) == [("j", "a"), ("j", "b"), ("k", "a")]
        await found.write(Retag(replace(job, tags=("c",), revision=2)))
        assert rows(tmp_path, query) == [("j", "c"), ("k", "a")]
        await found.write(Update(jobs=(replace(job, tags=(), revision=3),)))
        assert rows(tmp_path, query) == [("k", "a")]
        await found.write(DeleteJob("k"))
        assert rows(tmp_path, query) == []


@on_both
async def test_final_jobs_and_closed_sessions_are_not_resumed(tmp_path: Path) -> None:
    with opened(tmp_path) as found:
        session = a_session()
        closed = lifecycle.close(session, NOON)
        job = a_job()
        await found.write(AddSession(session, None))
        await found.write(new(job))
        done = replace(job, state=JobState.COMPLETED, ended_at=NOON, revision=5)
        await found.write(
            Update(sessions=(replace(closed, revision=4),), jobs=(done,), result=("j", "{}"))
        )
        assert await found.result("j") == "{}"
    with opened(tmp_path) as found:
        assert found.unfinished() == ([], [], 5)


@on_both
async def test_closing_writes_pending_changes(tmp_path: Path) -> None:
    found = Store(stores.database(tmp_path))
    futures = [found.write(new(a_job(str(number)))) for number in range(500)]
    await asyncio.to_thread(found.close)
    await asyncio.gather(*futures)
    assert rows(tmp_path, "select count(*) from jobs") == [(500,)]


# -- group commit and faults ---------------------------------------------------------------


@on_both
async def test_a_failing_change_does_not_affect_others_in_its_commit(tmp_path: Path) -> None:
    with opened(tmp_path) as found:
        await found.write(new(a_job("taken")))
        commits = []
        event.listen(found._engine, "commit", lambda _: commits.append(1))
        changes = [new(a_job(str(number))) for number in range(50)]
        changes[25] = new(a_job("taken"))
        changes[30] = AddJob(a_job("unhomed", session_id="nowhere"), "{}", None)
        results = await outcomes(*[found.write(each) for each in changes])
        assert isinstance(results[25], IntegrityError)
        assert isinstance(results[30], IntegrityError)
        assert [each for each in results if each is not None] == [results[25], results[30]]
        assert not rows(tmp_path, "select 1 from payloads where job_id = 'unhomed'"), "all or none"
    assert rows(tmp_path, "select count(*) from jobs") == [(49,)]


@on_both
async def test_a_failing_change_costs_few_commits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "INDEX_SECONDS", 3_600.0)
    with opened(tmp_path) as found:
        await found.write(new(a_job("taken")))
        commits = []
        event.listen(found._engine, "commit", lambda _: commits.append(1))
        changes = [new(a_job(str(number))) for number in range(256)]
        changes[100] = new(a_job("taken"))
        await outcomes(*[found.write(each) for each in changes])
        assert len(commits) == 8, "one commit for each half without the failing change"


@on_both
async def test_a_caller_that_has_gone_does_not_stop_the_store(tmp_path: Path) -> None:
    async def leave() -> None:
        reading = asyncio.create_task(found.job("o", "j"))
        found.write(new(a_job())).cancel()
        await asyncio.sleep(0)
        reading.cancel()

    with opened(tmp_path) as found:
        # In a loop of its own, which is closed before the store answers.
        await asyncio.to_thread(asyncio.run, leave())
        await found.write(new(a_job("k")))
        assert await found.job("o", "j") == a_job()


@on_both
async def test_many_changes_share_a_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The index of lists has a commit of its own.
    monkeypatch.setattr(store, "INDEX_SECONDS", 3_600.0)
    with opened(tmp_path) as found:
        commits = []
        event.listen(found._engine, "commit", lambda _: commits.append(1))
        await asyncio.gather(*[found.write(new(a_job(str(number)))) for number in range(400)])
        assert len(commits) == 1, "all changes of one turn of the loop"


@contextmanager
def traced(folder: Path) -> Iterator[tuple[Store, list[str]]]:
    """Open a store, and note each statement that its connections execute."""
    executed: list[str] = []

    def trace(connection: sqlite3.Connection, _record: object) -> None:
        connection.set_trace_callback(executed.append)

    event.listen(Engine, "connect", trace)
    try:
        found = Store(Sqlite(folder / "runtime.db"))
    finally:
        event.remove(Engine, "connect", trace)
    with closing(found):
        yield found, executed


@pytest.mark.parametrize("count", [1, 2, 3, 33, 100, 257])
async def test_jobs_of_one_commit_are_added_by_a_few_statements(tmp_path: Path, count: int) -> None:
    jobs = [a_job(f"j{number}", tags=(f"t{number}",)) for number in range(count)]
    with traced(tmp_path) as (found, executed):
        await found.write(new(a_job("first")))
        executed.clear()
        await asyncio.gather(*[found.write(new(each)) for each in jobs])
        # A statement that fires a trigger is traced with each step of it.
        statements = [text.split(" (")[0] for text in dict.fromkeys(executed)]
        # One for each power of two, and one for each 32 jobs: SQLite bounds their values.
        most = count.bit_length() + count // 32
        assert 0 < statements.count("INSERT INTO jobs") <= most
        assert 0 < statements.count("INSERT INTO payloads") <= most
        assert [await found.job("o", each.id) for each in jobs] == jobs


async def test_a_deferrable_change_shares_the_next_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "LINGER_SECONDS", 3_600.0)
    monkeypatch.setattr(store, "INDEX_SECONDS", 3_600.0)
    with traced(tmp_path) as (found, executed):
        job = a_job()
        await found.write(new(job))
        executed.clear()
        running = replace(job, state=JobState.RUNNING, revision=2)
        done = replace(running, state=JobState.COMPLETED, revision=3)
        start = found.write(Update(jobs=(running,), can_wait=True))
        end = found.write(Update(jobs=(done,), result=("j", "{}")))
        await asyncio.gather(start, end)
        # A statement that fires a trigger is traced with each step of it.
        texts = [text.split()[0] for text in dict.fromkeys(executed)]
        assert (texts.count("COMMIT"), texts.count("UPDATE")) == (1, 1)
        assert await found.job("o", "j") == done


@on_both
async def test_a_deferrable_change_is_written_before_a_read(tmp_path: Path) -> None:
    with opened(tmp_path) as found:
        job = a_job()
        await found.write(new(job))
        running = replace(job, state=JobState.RUNNING, revision=2)
        await found.write(Update(jobs=(running,), can_wait=True))
        assert await found.job("o", "j") == running


async def test_no_change_is_lost_while_the_file_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a lock of another connection, new rows are refused and updates wait in order."""
    monkeypatch.setattr(database, "BUSY_MILLISECONDS", 20)
    monkeypatch.setattr(store, "RETRY_SECONDS", 0.02)
    with opened(tmp_path) as found:
        job = a_job()
        await found.write(new(job))
        with closing(sqlite3.connect(tmp_path / "runtime.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            running = replace(job, state=JobState.RUNNING, revision=2)
            first = found.write(Update(jobs=(running,)))
            offer = found.write(new(a_job("late"), key="k"))
            with pytest.raises(StoreUnavailableError, match="locked"):
                await offer
            assert not first.done()
            done = replace(running, state=JobState.COMPLETED, revision=3)
            second = found.write(Update(jobs=(done,), result=("j", "the result")))
            with pytest.raises(StoreUnavailableError):
                await found.write(new(a_job("later")))
            assert not second.done()
            other.execute("ROLLBACK")
        await asyncio.gather(first, second)
        assert await found.job("o", "j") == done
        assert await found.result("j") == "the result"
        assert await found.read(idempotency.find_job, "o", "k", "{}") is None
        await found.write(new(a_job("late"), key="k"))


# -- reading -------------------------------------------------------------------------------


@on_both
async def test_idempotency_keys_are_unique_for_each_owner_and_kind(tmp_path: Path) -> None:
    with opened(tmp_path) as found:
        await found.write(new(a_job("a"), key="k"))
        await found.write(new(a_job("b", owner="p"), key="k"))
        await found.write(AddSession(a_session(), "k"))
        params = str(new(a_job("a")).params)
        for owner, job_id in (("o", "a"), ("p", "b")):
            known = await found.read(idempotency.find_job, owner, "k", params)
            assert known is not None
            assert (known[0].id, known[1]) == (job_id, True)
        known = await found.read(idempotency.find_job, "o", "k", params + " ")
        assert known is not None
        assert not known[1]
        session = await found.read(idempotency.find_session, "o", "k")
        assert session is not None
        assert session.id == "s"
        assert await found.read(idempotency.find_job, "o", "other", params) is None
        assert await found.read(idempotency.latest, 1) == [("p", "k")]
        assert await found.read(idempotency.latest, 9) == [("o", "k"), ("p", "k")]
        with pytest.raises(DuplicateKeyError, match="idempotency_key"):
            await found.write(new(a_job("c"), key="k"))
        with pytest.raises(DuplicateKeyError, match="idempotency_key"):
            await found.write(AddSession(a_session("t"), "k"))
        await found.write(new(a_job("d")))
        await found.write(new(a_job("e")))


async def test_a_failing_read_raises_in_its_caller(tmp_path: Path) -> None:
    def fail(connection: Any) -> None:
        connection.exec_driver_sql("select * from nowhere")

    with opened(tmp_path) as found:
        for _ in range(10):
            with pytest.raises(OperationalError, match="no such table"):
                await found.read(fail)
        assert await found.job("o", "j") is None
        await asyncio.to_thread(found.close)
        with pytest.raises(RuntimeError, match="closed"):
            await found.job("o", "j")
        with pytest.raises(StoreUnavailableError, match="closed"):
            await asyncio.wait_for(found.write(new(a_job("late"))), DEADLINE_SECONDS)


@on_both
async def test_other_owners_see_nothing(tmp_path: Path) -> None:
    with opened(tmp_path) as found:
        await found.write(AddSession(a_session(), None))
        await found.write(new(a_job(session_id="s")))
        assert await found.job("p", "j") is None
        assert await found.session("p", "s") is None
        assert await found.jobs("p", JobFilter()) == ([], 0)
        assert await found.changed("p", "s", 0, 9) == (None, [])


@on_both
async def test_filters(tmp_path: Path) -> None:
    with opened(tmp_path) as found:
        await found.write(AddSession(a_session(), None))
        hour = timedelta(hours=1)
        for job in (
            a_job("a", tags=("x", "y")),
            a_job("b", created_at=NOON + hour, tags=("x",), session_id="s"),
            a_job("c", created_at=NOON + 2 * hour, backend="fake_torino"),
            a_job("d", created_at=NOON + 3 * hour, program_id="estimator", tags=("xy",)),
            a_job("e", created_at=NOON + 4 * hour),
        ):
            await found.write(new(job))
        done = a_job("e", created_at=NOON + 4 * hour, state=JobState.FAILED)
        await found.write(Update(jobs=(done,)))

        async def names(**wanted: Any) -> str:
            jobs, total = await found.jobs("o", JobFilter(**wanted))
            assert total == len(jobs)
            return "".join(job.id for job in jobs)

        assert await names() == "edcba"
        assert await names(ascending=True) == "abcde"
        assert await names(tags=("x",)) == "ba", "a tag is the whole tag"
        assert await names(tags=("x", "y")) == "a", "all of them"
        assert await names(tags=("z",)) == ""
        assert await names(backend="fake_torino") == "c"
        assert await names(session_id="s") == "b"
        assert await names(program_id="estimator") == "d"
        assert await names(pending=True) == "dcba"
        assert await names(pending=False) == "e"
        assert await names(created_after=NOON + hour, created_before=NOON + 3 * hour) == "dcb"
        page, total = await found.jobs("o", JobFilter(limit=2, offset=1))
        assert ([job.id for job in page], total) == (["d", "c"], 5)


@on_both
async def test_jobs_of_one_time_are_listed_in_order_of_submission(tmp_path: Path) -> None:
    # Under a virtual clock all jobs have one time; ids are in no order.
    came = [f"{number * 7919 % 101:03}" for number in range(60)]

    with opened(tmp_path) as found:
        await found.write(AddSession(a_session(), None))
        await asyncio.gather(*(found.write(new(a_job(each, session_id="s"))) for each in came))
        for ascending, wanted in ((True, came), (False, came[::-1])):
            listed: list[str] = []
            while len(listed) < len(came):
                asked = JobFilter(ascending=ascending, limit=7, offset=len(listed))
                listed += [job.id for job in (await found.jobs("o", asked))[0]]
            assert listed == wanted
        _, changed = await found.changed("o", "s", 0, 99)
        assert [job.id for job in sorted(changed, key=lambda job: job.number)] == came
        alone = [a_job(f"alone{each}") for each in came]
        await asyncio.gather(*(found.write(new(each)) for each in alone))
        for ascending in (True, False):
            wanted_rows = workloads.Wanted(ascending=ascending, limit=200)
            rows, _ = await found.read_lists(workloads.read, "o", wanted_rows)
            ids = [row.id for row in rows]
            expected = ["s", *(each.id for each in alone)]
            assert ids == (expected if ascending else expected[::-1])
        _, jobs, _ = found.unfinished()
        assert [job.id for job in jobs][: len(came)] == came, (
            "and they start in that order after a restart"
        )


@on_both
async def test_changes_since_a_revision(tmp_path: Path) -> None:
    with opened(tmp_path) as found:
        await found.write(AddSession(a_session(), None))
        for number in range(3):
            job = a_job(str(number), session_id="s", revision=10 + number)
            await found.write(new(job))
        session, jobs = await found.changed("o", "s", 10, 9)
        assert session is not None
        assert session.queued == 3
        assert [job.id for job in jobs] == ["1", "2"]
        _, jobs = await found.changed("o", "s", 10, 1)
        assert [job.id for job in jobs] == ["1"], "in the order of the changes"


@on_both
async def test_deleting_a_job_deletes_payload_and_result(tmp_path: Path) -> None:
    with opened(tmp_path) as found:
        await found.write(new(a_job()))
        await found.write(Update(result=("j", "{}")))
        await found.write(DeleteJob("j"))
        assert await found.params("j") is None
        assert await found.result("j") is None
    assert rows(tmp_path, "select * from payloads union all select * from results") == []
