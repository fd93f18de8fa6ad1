"""Where the store is kept: all that depends on the kind of database, and the migration."""

from __future__ import annotations

import logging
import sqlite3
from abc import ABC, abstractmethod
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from sqlalchemy import create_engine, event

from qsession_widget.wire import private_files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from sqlalchemy import Connection, Engine
    from sqlalchemy.engine.interfaces import DBAPIConnection

_MIGRATIONS = Path(__file__).with_name("migrations")

LOG_BYTES = 4 * 2**20
"""Size to which the write-ahead log is cut after a large change."""

BUSY_MILLISECONDS = 5_000
"""How long a write waits for another program that locks the file."""

_OPTION = "database"


class UnknownSchemaError(Exception):
    """The store was written by a newer release."""


class NotAStoreError(ValueError):
    """What was given does not name a database that can keep a store."""


class SupersededError(Exception):
    """Another runtime has taken over the store."""


class Cursor(Protocol):
    """What is used of a driver's cursor."""

    @property
    def rowcount(self) -> int:
        """How many rows the statement changed."""

    def fetchone(self) -> Any:
        """Return the next row, None at the end."""

    def fetchall(self) -> list[Any]:
        """Return all rows that are left."""

    def __iter__(self) -> Iterator[Any]: ...


class Driver(Protocol):
    """What is used of a driver's connection; values stand for question marks."""

    def execute(self, sql: str, values: Sequence[Any] = ..., /) -> Cursor:
        """Execute a statement."""

    def executemany(self, sql: str, rows: Iterable[Sequence[Any]], /) -> object:
        """Execute a statement for each of some rows."""


def driver(connection: Connection) -> Driver:
    """Return the driver's own connection."""
    return cast("Driver", connection.connection.driver_connection)


def database_of(connection: Connection) -> Database:
    """Return the database of a connection."""
    return cast("Database", connection.get_execution_options()[_OPTION])


class Database(ABC):
    """A database that can keep a store.

    Attributes:
        engine: makes its connections.
        name: of the database, for messages; without a password.
        error: the driver's class of errors.
        superseded: whether another runtime has taken it over from this one.
        beat_seconds: pause between two looks whether its connection is still there; None where it
            cannot be lost.
    """

    error: type[Exception]
    beat_seconds: float | None = None

    def __str__(self) -> str:
        return self.name

    def __init__(self, engine: Engine, name: str) -> None:
        engine.update_execution_options(**{_OPTION: self})
        self.engine = engine
        self.name = name
        self.superseded = False

    # -- who writes: a file is locked by the runtime's folder ---------------------------------

    @abstractmethod
    def lead(self, waits: Callable[[], None] = lambda: None) -> None:
        """Become the only runtime that writes, as soon as no other one does.

        Args:
            waits: is called once if there is another one.
        """

    @abstractmethod
    def begin_era(self) -> None:
        """Note in the store that this runtime leads now."""

    def leave(self, connection: Connection) -> None:
        """Let another runtime lead, and close the writer's connection."""
        connection.close()

    def writer(self) -> Connection:
        """Return the connection of the runtime that leads."""
        return self.engine.connect()

    def reader(self) -> Connection:
        """Return a new connection for queries."""
        return self.engine.connect()

    @abstractmethod
    def check(self, connection: Connection) -> None:
        """Find out whether the writer's connection is still there, for `is_lost`."""

    def is_lost(self, connection: Connection) -> bool:
        """Whether a connection has ended by itself."""
        del connection
        return False

    def regain(self, connection: Connection) -> bool:
        """Connect the writer again; returns whether the last batch was committed.

        Raises:
            DBAPIError: that is not possible yet.
            SupersededError: another runtime has led meanwhile.
        """
        raise NotImplementedError

    # -- transactions ----------------------------------------------------------------------

    @abstractmethod
    def prepare(self, connection: Connection) -> None:
        """Create in an empty database what the first migration starts from."""

    @contextmanager
    def batch(self, connection: Connection) -> Iterator[None]:
        """Make the changes of a commit in the block, without a query."""
        self.begin(connection)
        yield

    @abstractmethod
    def copied(self, connection: Connection) -> None:
        """Go on with the numbers of rows after those that were copied, in the transaction."""

    @abstractmethod
    def committed(self) -> None:
        """Note that the last batch was committed."""

    @abstractmethod
    def begin(self, connection: Connection) -> None:
        """Begin to write, in the transaction that SQLAlchemy has begun."""

    @abstractmethod
    def begin_to_read(self, connection: Connection) -> None:
        """Begin to read one state of the store, in the transaction that SQLAlchemy has begun."""

    @abstractmethod
    def may_pass(self, error: BaseException | None) -> bool:
        """Whether a change that failed with this error may succeed later."""

    @abstractmethod
    def is_key_taken(self, error: BaseException | None) -> bool:
        """Whether a new session or job failed since its idempotency key is taken."""

    @abstractmethod
    def file_bytes(self, connection: Connection) -> int:
        """Return the size of the store without what is free in it, in bytes."""

    @abstractmethod
    def used_bytes(self, connection: Connection) -> int:
        """Return the size of the store with its logs, in bytes."""

    @abstractmethod
    def free_pages(self, connection: Connection) -> int:
        """Count the pages that `return_pages` can return to the file system."""

    @abstractmethod
    def return_pages(self, connection: Connection, count: int) -> None:
        """Return some free pages to the file system, in the open transaction."""

    @abstractmethod
    def empty_log(self, connection: Connection) -> None:
        """Empty the write-ahead log, unless a reader still needs it; outside of a transaction."""


class Sqlite(Database):
    """A file of SQLite, which is created if it does not exist, readable by its owner only.

    Args:
        path: of the file; its folder is created, too.
        busy_milliseconds: how long a write waits for another program that locks the file;
            `BUSY_MILLISECONDS` if it is not given.
    """

    error = sqlite3.Error

    def __init__(self, path: Path, busy_milliseconds: int | None = None) -> None:
        private_files.make_folder(path.parent)
        super().__init__(
            create_engine(f"sqlite:///{path}", pool_size=8, max_overflow=-1), str(path)
        )
        self._path = path
        self._busy_milliseconds = (
            BUSY_MILLISECONDS if busy_milliseconds is None else busy_milliseconds
        )
        event.listen(self.engine, "connect", self._configure)
        path.touch(mode=private_files.FILE_MODE, exist_ok=True)

    def _configure(self, connection: DBAPIConnection, _record: object) -> None:
        cursor = connection.cursor()
        if not self._path.stat().st_size:
            # It takes effect with the first page, which switching to the log writes. Later it would
            # only take a lock.
            cursor.execute("PRAGMA auto_vacuum=INCREMENTAL")
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            f"journal_size_limit={LOG_BYTES}",
            f"busy_timeout={self._busy_milliseconds}",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    def lead(self, waits: Callable[[], None] = lambda: None) -> None:
        """Do nothing: the runtime has locked the folder."""

    def begin_era(self) -> None:
        """Do nothing, likewise."""

    def check(self, connection: Connection) -> None:
        """Do nothing: a file is always there."""

    def prepare(self, connection: Connection) -> None:
        """Do nothing: the first migration starts from an empty file."""

    def copied(self, connection: Connection) -> None:
        """Do nothing: numbers follow the last row."""

    def committed(self) -> None:
        """Do nothing: a commit of SQLite is made or fails."""

    def begin(self, connection: Connection) -> None:
        """Take the lock of the file at once, before anything is read."""
        # Python's sqlite3 would begin by itself before some statements only, with a weaker lock.
        driver(connection).execute("BEGIN IMMEDIATE")

    def begin_to_read(self, connection: Connection) -> None:
        """Begin a snapshot: the first query takes it."""
        driver(connection).execute("BEGIN")

    def may_pass(self, error: BaseException | None) -> bool:
        """Whether the disk is full, the file is locked, and the like."""
        return isinstance(error, sqlite3.OperationalError)

    def is_key_taken(self, error: BaseException | None) -> bool:
        """Whether a unique constraint was violated: ids have a code of their own."""
        name = getattr(error, "sqlite_errorname", "")
        return name == "SQLITE_CONSTRAINT_UNIQUE"

    def file_bytes(self, connection: Connection) -> int:
        """Return the size of all pages that are in use."""
        pages = _pragma(connection, "page_count") - _pragma(connection, "freelist_count")
        return pages * _pragma(connection, "page_size")

    def used_bytes(self, connection: Connection) -> int:
        """Return the same and the size of the write-ahead log."""
        try:
            log_bytes = Path(f"{self._path}-wal").stat().st_size
        except FileNotFoundError:
            log_bytes = 0
        return self.file_bytes(connection) + log_bytes

    def free_pages(self, connection: Connection) -> int:
        """Count the free pages, if the file was made for that."""
        incremental = 2
        if _pragma(connection, "auto_vacuum") != incremental:
            return 0
        return _pragma(connection, "freelist_count")

    def return_pages(self, connection: Connection, count: int) -> None:
        """Cut the file by some pages."""
        for _ in range(count):
            # Python's sqlite3 takes one step of a statement without rows; each step frees a page.
            driver(connection).execute("PRAGMA incremental_vacuum(1)")

    def empty_log(self, connection: Connection) -> None:
        """Copy the log into the file, and empty it unless a reader still needs it."""
        try:
            # Without waiting for readers, since the next change would wait, too.
            driver(connection).execute("PRAGMA busy_timeout=0")
            driver(connection).execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        finally:
            driver(connection).execute(f"PRAGMA busy_timeout={self._busy_milliseconds}")


def _pragma(connection: Connection, name: str) -> int:
    (value,) = driver(connection).execute(f"PRAGMA {name}").fetchone()
    return int(value)


@contextmanager
def writing(connection: Connection) -> Iterator[None]:
    """Write in one transaction, which ends with the block."""
    with connection.begin():
        database_of(connection).begin(connection)
        yield


def migrate(database: Database) -> None:
    """Migrate the tables to the schema of this release, in one transaction.

    Raises:
        UnknownSchemaError: if the store was written by a newer release.
    """
    with database.engine.connect() as connection:
        if _is_migrated(connection):
            return
    # It logs each of its plugins and steps, which are not for people who start a runtime.
    logging.getLogger("alembic").setLevel(logging.WARNING)
    # Alembic takes as long to import as the rest of the store, and most starts do not need it.
    from alembic import command
    from alembic.config import Config
    from alembic.util.exc import CommandError

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    with database.engine.connect() as connection, writing(connection):
        # A runtime that is killed between two tables could never start again.
        config.attributes["connection"] = connection
        if not _has_versions(connection):
            database.prepare(connection)
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise UnknownSchemaError(str(error)) from error


def _has_versions(connection: Connection) -> bool:
    return connection.dialect.has_table(connection, "alembic_version")


def _is_migrated(connection: Connection) -> bool:
    """Whether the last of the migrations was made already."""
    if not _has_versions(connection):
        return False
    found = driver(connection).execute("SELECT version_num FROM alembic_version").fetchall()
    # Each begins with its number, which is what it is called in the database.
    newest = max(each.name for each in (_MIGRATIONS / "versions").glob("[0-9]*.py"))
    return found == [(newest.partition("_")[0],)]
