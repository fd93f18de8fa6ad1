"""Opens the SQLite file of the store, and migrates it to the schema of this release."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, event

if TYPE_CHECKING:
    from sqlalchemy import Engine


LOG_BYTES = 4 * 2**20
"""Size to which the write-ahead log is cut after a large change."""


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
    path.touch(mode=0o600, exist_ok=True)
    return engine


def migrate(engine: Engine) -> None:
    """Migrate the tables to the schema of this release, in one transaction."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
    with engine.begin() as connection:
        # Python's sqlite3 commits after each CREATE TABLE unless a transaction is open. A runtime
        # that is killed between two tables could never start again.
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
