"""A store in PostgreSQL, by psycopg: the extra `postgres` installs it.

Only one runtime writes to a store: its writer's connection holds an advisory lock, which ends with
the connection. Others wait for it as standbys. A runtime that has lost its connection takes the
lock again, unless another one has had it meanwhile (`epoch`), and learns whether its last commit
was made (`commits`): a commit without an answer may have been.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import psycopg
from psycopg import conninfo
from psycopg.adapt import Dumper
from sqlalchemy import create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from qsession_widget.runtime.store.database import (
    Database,
    NotAStoreError,
    SupersededError,
    driver,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from sqlalchemy import Connection

    from qsession_widget.runtime.store.database import Driver

POLL_SECONDS = 0.25
"""How often a standby looks whether the lock is free."""

_BASELINE = Path(__file__).with_name("postgresql.sql")
"""The schema of the first release that could keep its store here; migrations follow it."""

_LOCK = 0x7173_6573
"""First half of the key of the advisory lock; the other one is the schema."""

_DEFAULTS: dict[str, str | int] = {
    "application_name": "qsession",
    "connect_timeout": 5,
    # A machine that is gone is noticed within some seconds, from both ends.
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
"""Parameters of connections that the URL does not give."""

_SETTINGS = (
    "SET tcp_keepalives_idle = 5",
    "SET tcp_keepalives_interval = 2",
    "SET tcp_keepalives_count = 3",
    "SET idle_in_transaction_session_timeout = 0",
    "SET statement_timeout = 0",
    # Where the server is set to forget what it has acknowledged, this store is not.
    (
        "SELECT set_config('synchronous_commit', 'on', false) "
        "WHERE current_setting('synchronous_commit') = 'off'"
    ),
)

_KEYS = {"sessions_owner_idempotency_key_key", "jobs_owner_idempotency_key_key"}
"""Constraints of idempotency keys."""

_COUNTED = (
    ("jobs", "rowid"),
    ("sessions", "rowid"),
    ("unlisted", "number"),
    ("entries", "number"),
    ("facets", "id"),
)
"""Columns whose values the server counts."""

_PASSING_CLASSES = ("08", "25", "40", "53", "55", "57", "58")
"""Classes of SQLSTATE: connections, transactions such as read-only ones, conflicts, resources,
locks, shutdowns, the system."""


class _AsText(Dumper):
    """Sends a number as text without a type, so that each statement is prepared only once."""

    def dump(self, obj: Any) -> bytes:
        return str(obj).encode()


class _Text(Dumper):
    """Sends text. PostgreSQL keeps no NUL: no text with one is found, and none comes this far."""

    def dump(self, obj: str) -> bytes:
        return obj.replace("\0", "\N{REPLACEMENT CHARACTER}").encode()


@lru_cache(maxsize=1_024)
def _numbered(sql: str) -> bytes:
    """Return SQL with the server's own marks for values instead of question marks."""
    first, *others = sql.split("?")
    marked = [f"${number}{each}" for number, each in enumerate(others, start=1)]
    return "".join((first, *marked)).encode()


class _Connection(psycopg.Connection[Any]):
    """A connection on which question marks stand for values, as in SQLite."""

    def execute(self, query: Any, params: Any = None, **_: Any) -> Any:
        """Execute a statement."""
        return psycopg.RawCursor(self).execute(_numbered(query), params)

    def executemany(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """Execute a statement for each of some rows."""
        psycopg.RawCursor(self).executemany(_numbered(sql), rows)


class Postgres(Database):
    """A database of PostgreSQL.

    Args:
        url: as libpq reads it, such as "postgresql://user@host/database".

    Raises:
        NotAStoreError: if libpq cannot read it.
    """

    error = psycopg.Error
    beat_seconds = 2.0

    def __init__(self, url: str) -> None:
        try:
            given = conninfo.conninfo_to_dict(url)
        except psycopg.ProgrammingError:
            # Its message may quote the password.
            raise NotAStoreError(
                "the URL of the store cannot be read; it has the form "
                "postgresql://USER@HOST:PORT/DATABASE"
            ) from None
        self._conninfo = conninfo.make_conninfo("", **{**_DEFAULTS, **given})
        engine = create_engine(
            "postgresql+psycopg://",
            creator=self._connect,
            poolclass=NullPool,
            use_native_hstore=False,
        )
        super().__init__(engine, _name_of(given))
        self._writer: Connection | None = None
        # The driver's connection that has the lock. SQLAlchemy makes a new one by itself, without.
        self._locked: Driver | None = None
        self._epoch = self._commits = 0

    def _connect(self) -> _Connection:
        connection = _Connection.connect(self._conninfo)
        for kind in (int, float, bool):
            connection.adapters.register_dumper(kind, _AsText)
        connection.adapters.register_dumper(str, _Text)
        return connection

    # -- who writes ------------------------------------------------------------------------

    def lead(self, waits: Callable[[], None] = lambda: None) -> None:
        """Wait until no other runtime writes to this store, and become the one that does.

        Args:
            waits: is called once if there is another one.
        """
        if self._writer is not None:
            return
        connection = self.engine.connect()
        _require_utf8(connection)
        told = False
        while not self._can_lock(connection):
            if not told:
                waits()
                told = True
            threading.Event().wait(POLL_SECONDS)
        self._writer = connection

    def _can_lock(self, connection: Connection) -> bool:
        """Try to take the lock; a standby outlives the restarts of its database."""
        try:
            return self._lock(connection)
        except (DBAPIError, psycopg.Error):
            connection.invalidate()
            return False

    def _lock(self, connection: Connection) -> bool:
        raw = driver(connection)
        for each in _SETTINGS:
            raw.execute(each)
        (locked,) = raw.execute(
            "SELECT pg_try_advisory_lock(?, hashtext(current_schema()))", (_LOCK,)
        ).fetchone()
        _end(connection)
        if locked:
            self._locked = raw
        return bool(locked)

    def begin_era(self) -> None:
        """Note that another runtime leads now: its predecessors see that they are superseded."""
        connection = self.writer()
        with connection.begin():
            found = driver(connection).execute(
                "UPDATE leadership SET epoch = epoch + 1, commits = 0 RETURNING epoch"
            )
            (self._epoch,) = found.fetchone()
        self._commits = 0

    def leave(self, connection: Connection) -> None:
        """Let another runtime lead, before the server has noticed that the connection ends."""
        self._writer = None
        with suppress(DBAPIError, psycopg.Error):
            driver(connection).execute("SELECT pg_advisory_unlock_all()")
        connection.close()

    def writer(self) -> Connection:
        """Return the connection that has the lock."""
        self.lead()
        if self._writer is None:
            raise AssertionError
        return self._writer

    def reader(self) -> Connection:
        """Return a new connection whose transactions are snapshots."""
        options = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        return self.engine.execution_options(**options).connect()

    def check(self, connection: Connection) -> None:
        """Find out whether the connection, and with it the lock, is still there."""
        if not self.is_lost(connection):
            with suppress(DBAPIError, psycopg.Error), connection.begin():
                driver(connection).execute("SELECT 1")

    def is_lost(self, connection: Connection) -> bool:
        """Whether a connection has ended."""
        if connection.invalidated:
            return True
        raw = _driver_of(connection)
        return bool(raw.closed) or (connection is self._writer and raw is not self._locked)

    def regain(self, connection: Connection) -> bool:
        """Connect again, and take the lock again.

        Returns:
            Whether the last batch was committed.

        Raises:
            DBAPIError: the database cannot be reached, or the lock is not free yet.
            SupersededError: another runtime has led meanwhile.
        """
        connection.invalidate()
        try:
            locked = self._lock(connection)
            found = driver(connection).execute("SELECT epoch, commits FROM leadership").fetchone()
            _end(connection)
        except psycopg.Error as error:
            raise DBAPIError.instance(None, None, error, psycopg.Error) from error
        epoch, commits = found
        if epoch != self._epoch:
            self.superseded = True
            raise SupersededError(f"another runtime has taken over the store {self.name}")
        if not locked:
            # The server has not noticed yet that the old connection is gone; or a standby has.
            held = psycopg.OperationalError("the lock of the store is held")
            raise DBAPIError.instance(None, None, held, psycopg.Error)
        made = bool(commits > self._commits)
        self._commits = commits
        return made

    # -- transactions ----------------------------------------------------------------------

    @contextmanager
    def batch(self, connection: Connection) -> Iterator[None]:
        """Send all statements of the block together, and count the commit that follows."""
        self._require_lock(connection)
        raw = _driver_of(connection)
        with raw.pipeline():
            raw.execute(
                "UPDATE leadership SET commits = ? WHERE epoch = ?",
                (self._commits + 1, self._epoch),
            )
            yield

    def copied(self, connection: Connection) -> None:
        """Set the sequences of the columns that count."""
        for table, column in _COUNTED:
            driver(connection).execute(
                f"SELECT setval(pg_get_serial_sequence('{table}', '{column}'), "  # noqa: S608 - names of ours
                f"coalesce(max({column}), 0) + 1, false) FROM {table}"
            )

    def committed(self) -> None:
        """Note that the last batch was committed."""
        self._commits += 1

    def begin(self, connection: Connection) -> None:
        """See what is committed at the beginning only: others may write as well."""
        self._require_lock(connection)
        driver(connection).execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")

    def _require_lock(self, connection: Connection) -> None:
        if self.is_lost(connection):
            raise psycopg.OperationalError("the connection to the store is lost")

    def begin_to_read(self, connection: Connection) -> None:
        """Do nothing: the driver begins a snapshot with the first query."""

    def may_pass(self, error: BaseException | None) -> bool:
        """Whether the server is away, its disk is full, and the like."""
        if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
            return True
        state = getattr(error, "sqlstate", None) or ""
        return state.startswith(_PASSING_CLASSES)

    def is_key_taken(self, error: BaseException | None) -> bool:
        """Whether the constraint of idempotency keys was violated."""
        return isinstance(error, psycopg.Error) and error.diag.constraint_name in _KEYS

    # -- size ------------------------------------------------------------------------------

    def file_bytes(self, connection: Connection) -> int:
        """Return the size of all payloads and results.

        That of the tables does not shrink with them: PostgreSQL keeps the room for new rows.
        """
        (size,) = (
            driver(connection)
            .execute(
                "SELECT (SELECT coalesce(sum(octet_length(params)), 0) FROM payloads)"
                " + (SELECT coalesce(sum(octet_length(body)), 0) FROM results)"
                " + (SELECT coalesce(sum(octet_length(bytes)), 0) FROM pieces)"
            )
            .fetchone()
        )
        return int(size)

    def used_bytes(self, connection: Connection) -> int:
        """Return the size of the tables with their indexes."""
        (size,) = (
            driver(connection)
            .execute(
                "SELECT coalesce(sum(pg_total_relation_size(oid)), 0) FROM pg_class "
                "WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace"
            )
            .fetchone()
        )
        return int(size)

    def free_pages(self, connection: Connection) -> int:
        """Return 0: autovacuum frees pages."""
        del connection
        return 0

    def return_pages(self, connection: Connection, count: int) -> None:
        """Do nothing: see `free_pages`."""

    def empty_log(self, connection: Connection) -> None:
        """Do nothing: the log is the server's own."""

    def prepare(self, connection: Connection) -> None:
        """Create the tables of the first release that could keep its store here."""
        driver(connection).execute(_BASELINE.read_text())


def _driver_of(connection: Connection) -> _Connection:
    return cast("_Connection", connection.connection.driver_connection)


def _end(connection: Connection) -> None:
    """End the transaction that the driver, not SQLAlchemy, has begun; settings and locks stay."""
    connection.connection.commit()


def _require_utf8(connection: Connection) -> None:
    (encoding,) = driver(connection).execute("SHOW server_encoding").fetchone()
    _end(connection)
    if encoding != "UTF8":
        raise NotAStoreError(f"the database has the encoding {encoding}; a store needs UTF8")


def _name_of(given: dict[str, Any]) -> str:
    """Return where a database is, without the user and the password."""
    host, port = given.get("host", ""), given.get("port", "")
    where = f"{host}:{port}" if port else host
    return f"postgresql://{where}/{given.get('dbname', '')}"
