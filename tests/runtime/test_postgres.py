"""What a store in PostgreSQL does beyond one in a file: one that leads, lost connections, URLs."""

from __future__ import annotations

import asyncio
import threading
from contextlib import closing
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from msgspec.structs import replace
from sqlalchemy import text

from qsession_widget.runtime.settings import Settings
from qsession_widget.runtime.store import postgres, schema, store
from qsession_widget.runtime.store.database import NotAStoreError
from qsession_widget.runtime.store.places import at
from qsession_widget.runtime.store.postgres import Postgres
from qsession_widget.runtime.store.store import (
    DuplicateKeyError,
    Store,
    StoreClosedError,
    StoreUnavailableError,
    StoreUnreadableError,
)
from qsession_widget.runtime.store.writes import AddSession, Retag, Update
from tests.conftest import DEADLINE_SECONDS, eventually
from tests.runtime.test_store import a_job, a_session, new, outcomes

if TYPE_CHECKING:
    from tests.postgresql import Cluster

pytestmark = pytest.mark.process

WORD = "hidden-word"
"""The password in the URLs of tests."""


@pytest.fixture
def url(postgresql: Cluster) -> str:
    return postgresql.new()


def ask(url: str, query: str) -> list[Any]:
    with psycopg.connect(url) as connection:
        return connection.execute(query.encode()).fetchall()


def cut_off(url: str) -> None:
    """End all connections of the runtime on the server, which is as if it had been restarted."""
    query = "select pg_terminate_backend(pid) from pg_stat_activity where application_name = %s"
    with psycopg.connect(url, application_name="a test") as connection:
        connection.execute(query, ("qsession",))


# -- the schema ------------------------------------------------------------------------------


def test_its_first_schema_and_the_migrations_lead_to_the_schema(url: str) -> None:
    Store(Postgres(url)).close()
    engine = Postgres(url).engine

    def ours(_thing: Any, name: str | None, kind: str, *_: Any) -> bool:
        return kind != "table" or name not in {"leadership", "alembic_version"}

    with engine.connect() as connection:
        options = {"compare_type": True, "include_object": ours}
        context = MigrationContext.configure(connection, opts=options)
        # SQLite has this column without a name of its own in the schema.
        found = [
            each
            for each in compare_metadata(context, schema.metadata)
            if getattr(each[-1], "name", "") != schema.ARRIVED
            and getattr(each[-1], "columns", {}).keys() != [schema.ARRIVED]
        ]
        assert found == []
        names = connection.execute(
            text(
                "select table_name, column_name from information_schema.columns where "
                "data_type = 'character varying' and collation_name is distinct from 'C' "
                "and table_schema = current_schema() and table_name <> 'alembic_version'"
            )
        )
        assert names.all() == [], "names are compared by their code points"
    indexes = dict(ask(url, "select indexname, indexdef from pg_indexes"))
    for name, where in (
        ("jobs_kept", "NOT pruned"),
        ("jobs_unfinished", "'Cancelled'"),
        ("sessions_open", "'closed'"),
        ("long_texts_dropped", "dropped"),
    ):
        assert where in indexes[name].partition(" WHERE ")[2]


def test_a_second_start_changes_no_table(url: str) -> None:
    Store(Postgres(url)).close()
    query = "select oid, relname from pg_class where relnamespace = current_schema()::regnamespace"
    before = sorted(ask(url, query))
    Store(Postgres(url)).close()
    assert sorted(ask(url, query)) == before


# -- who writes ------------------------------------------------------------------------------


async def test_a_second_runtime_waits_until_the_first_one_ends(url: str) -> None:
    first = Store(Postgres(url))
    await first.write(new(a_job()))
    waits = threading.Event()
    standby = Postgres(url)
    leading = threading.Thread(target=standby.lead, args=(waits.set,))
    leading.start()
    assert waits.wait(DEADLINE_SECONDS)
    assert leading.is_alive()
    await asyncio.to_thread(first.close)
    await asyncio.to_thread(leading.join, DEADLINE_SECONDS)
    with closing(Store(standby)) as second:
        assert await second.job("o", "j") == a_job()


async def test_stores_of_two_schemas_have_leaders_of_their_own(postgresql: Cluster) -> None:
    places = [Postgres(postgresql.new()) for _ in range(2)]
    with closing(Store(places[0])) as one, closing(Store(places[1])) as other:
        await asyncio.gather(one.write(new(a_job())), other.write(new(a_job("k"))))
        assert await other.job("o", "j") is None


async def test_a_runtime_that_was_superseded_writes_nothing_more(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres.Postgres, "beat_seconds", 3_600.0)
    monkeypatch.setattr(store, "RETRY_SECONDS", 0.02)
    ended = threading.Event()
    with closing(Store(Postgres(url))) as first:
        first.superseded = ended.set
        await first.write(new(a_job()))
        cut_off(url)
        with closing(Store(Postgres(url))) as second:
            done = [
                first.write(Update(jobs=(a_job(reason="late"),))),
                first.write(new(a_job("late"))),
            ]
            assert [type(each) for each in await outcomes(*done)] == [StoreClosedError] * 2
            assert await asyncio.to_thread(ended.wait, DEADLINE_SECONDS)
            with pytest.raises(StoreClosedError):
                await first.write(new(a_job("later")))
            await second.write(new(a_job("k")))
            assert first._database.superseded
            assert not first.available
    assert ask(url, "select id, reason from jobs order by id") == [("j", None), ("k", None)]


def test_a_lost_connection_is_noticed_though_nothing_is_written(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing starts while another runtime may lead."""
    monkeypatch.setattr(postgres.Postgres, "beat_seconds", 0.02)
    monkeypatch.setattr(store, "RETRY_SECONDS", 3_600.0)
    with closing(Store(Postgres(url))) as found:
        assert found.available
        # The lock stays taken, by another program.
        with psycopg.connect(url) as other:
            cut_off(url)
            other.execute(
                "select pg_advisory_lock(%s, hashtext(current_schema()))", (postgres._LOCK,)
            )
            eventually(lambda: not found.available, "the end of its lead")


# -- a server that goes and comes ------------------------------------------------------------


async def test_it_goes_on_when_the_server_was_restarted(
    postgresql: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "RETRY_SECONDS", 0.02)
    monkeypatch.setattr(postgres.Postgres, "beat_seconds", 0.02)
    with closing(Store(Postgres(postgresql.new()))) as found:
        job = a_job()
        await found.write(new(job))
        await asyncio.to_thread(postgresql.stop, crash=True)
        try:
            await asyncio.to_thread(eventually, lambda: not found.available, "its absence")
            with pytest.raises(StoreUnavailableError):
                await found.job("o", "j")
            changed = found.write(Update(jobs=(replace(job, reason="kept", revision=2),)))
            with pytest.raises(StoreUnavailableError):
                await found.write(new(a_job("k")))
            assert not changed.done()
        finally:
            await asyncio.to_thread(postgresql.start)
        await changed
        assert await found.job("o", "j") == replace(job, reason="kept", revision=2)
        await found.write(new(a_job("k")))
        assert found.available


@pytest.mark.parametrize("committed", [True, False])
async def test_a_commit_without_an_answer_is_made_once(
    url: str, monkeypatch: pytest.MonkeyPatch, *, committed: bool
) -> None:
    monkeypatch.setattr(store, "RETRY_SECONDS", 0.02)
    monkeypatch.setattr(postgres.Postgres, "beat_seconds", 3_600.0)
    with closing(Store(Postgres(url))) as found:
        commit = postgres._Connection.commit
        writer = found._database.writer().connection.driver_connection
        lost: list[postgres._Connection] = []

        def unanswered(connection: postgres._Connection) -> None:
            if connection is not writer or lost:
                commit(connection)
                return
            lost.append(connection)
            if committed:
                commit(connection)
            connection.close()
            raise psycopg.OperationalError("the server closed the connection unexpectedly")

        monkeypatch.setattr(postgres._Connection, "commit", unanswered)
        added = [found.write(new(a_job(name), name)) for name in "ab"]
        assert await outcomes(*added) == [None, None]
        assert lost
        assert await outcomes(found.write(new(a_job("c"), "a"))) != [None], "the key is taken"
        await found.write(new(a_job("d")))
    assert ask(url, "select id from jobs order by id") == [("a",), ("b",), ("d",)]


async def test_a_standby_outlives_a_restart_of_the_server(
    postgresql: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "POLL_SECONDS", 0.02)
    url = postgresql.new()
    first = Store(Postgres(url))
    await first.write(new(a_job()))
    waits = threading.Event()
    standby = Postgres(url)
    leading = threading.Thread(target=standby.lead, args=(waits.set,))
    leading.start()
    assert await asyncio.to_thread(waits.wait, DEADLINE_SECONDS)
    postgresql.stop()
    await asyncio.to_thread(first.close)
    postgresql.start()
    await asyncio.to_thread(leading.join, DEADLINE_SECONDS)
    with closing(Store(standby)) as second:
        assert await second.job("o", "j") == a_job()


# -- constraints, text, URLs -----------------------------------------------------------------


async def test_only_the_constraint_of_keys_is_a_key_that_is_taken(url: str) -> None:
    with closing(Store(Postgres(url))) as found:
        await found.write(AddSession(a_session(), "key"))
        await found.write(new(a_job(), "key"))
        refused = await outcomes(
            found.write(new(a_job("k"), "key")),
            found.write(AddSession(a_session("t"), "key")),
            found.write(new(a_job(), "idempotency_key")),
        )
        assert [type(each) is DuplicateKeyError for each in refused] == [True, True, False]


async def test_text_of_all_kinds_is_kept_and_found(url: str) -> None:
    tags = ("ä", "Z", "a", "$1", "?", "%s", "'", "\\", "😀", "\N{REPLACEMENT CHARACTER}")
    with closing(Store(Postgres(url))) as found:
        await found.write(new(a_job(tags=tags), "?", '{"a":"\\u0000 ? $1 %s"}'))
        assert await found.job("o", "j") == a_job(tags=tags)
        assert await found.params("j") == '{"a":"\\u0000 ? $1 %s"}'
        await found.write(Retag(a_job(tags=tags[:2], revision=2)))
        assert await found.job("o", "\0") is None
        assert ask(url, "select tag from job_tags order by tag") == [("Z",), ("ä",)]


def test_the_password_is_in_no_message(postgresql: Cluster) -> None:
    url = postgresql.url("no_such_database")
    database = at(url)
    shown = [repr(Settings(store=url)), str(database), repr(database), repr(database.engine)]
    with pytest.raises(StoreUnreadableError) as caught:
        Store(database)
    shown += [str(caught.value), repr(caught.value.__cause__)]
    for wrong in (f"postgresql://u:{WORD}@h:port/d?x", f"mysql://u:{WORD}@h/d"):
        with pytest.raises(NotAStoreError) as refused:
            at(wrong)
        shown.append(f"{refused.value!r} {refused.value.__cause__}")
    assert "no_such_database" in shown[1]
    assert WORD not in "".join(shown)


def test_a_database_of_another_encoding_is_refused(postgresql: Cluster) -> None:
    with psycopg.connect(postgresql.url("postgres"), autocommit=True) as connection:
        connection.execute("create database latin encoding 'LATIN1' locale 'C' template template0")
    with pytest.raises(NotAStoreError, match="LATIN1"):
        Postgres(postgresql.url("latin")).lead()
