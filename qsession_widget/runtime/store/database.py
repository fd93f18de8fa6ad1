"""Opens the SQLite file of the store, and migrates it to the schema of this release."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import create_engine, event

from qsession_widget.wire import private_files

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

_MIGRATIONS = Path(__file__).with_name("migrations")


LOG_BYTES = 4 * 2**20
"""Size to which the write-ahead log is cut after a large change."""


class UnknownSchemaError(Exception):
    """The file was written by a newer release."""


def open_engine(path: Path, busy_milliseconds: int) -> Engine:
    """Return an engine for a file, which is created if it does not exist.

    Args:
        path: path of the file.
        busy_milliseconds: how long a write waits for another program that locks the file.
    """
    engine = create_engine(f"sqlite:///{path}", pool_size=8, max_overflow=-1)

    def configure(connection: Any, _record: Any) -> None:
        cursor = connection.cursor()
        if not path.stat().st_size:
            # It takes effect with the first page, which switching to the log writes. Later it would
            # only take a lock.
            cursor.execute("PRAGMA auto_vacuum=INCREMENTAL")
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            f"journal_size_limit={LOG_BYTES}",
            f"busy_timeout={busy_milliseconds}",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    event.listen(engine, "connect", configure)
    path.touch(mode=private_files.FILE_MODE, exist_ok=True)
    return engine


def migrate(engine: Engine) -> None:
    """Migrate the tables to the schema of this release, in one transaction.

    Raises:
        UnknownSchemaError: if the file was written by a newer release.
    """
    with engine.connect() as connection:
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
    with engine.begin() as connection:
        # Python's sqlite3 commits after each CREATE TABLE unless a transaction is open. A runtime
        # that is killed between two tables could never start again.
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise UnknownSchemaError(str(error)) from error


def _is_migrated(connection: Connection) -> bool:
    """Whether the last of the migrations was made already."""
    tables = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'alembic_version'"
    if not connection.exec_driver_sql(tables).scalar():
        return False
    made = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalars().all()
    # Each begins with its number, which is what it is called in the file.
    newest = max(each.name for each in (_MIGRATIONS / "versions").glob("[0-9]*.py"))
    return list(made) == [newest.partition("_")[0]]
