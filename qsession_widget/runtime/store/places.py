"""Opens the database that a URL or a path names."""

from __future__ import annotations

from pathlib import Path

from qsession_widget.runtime.store.database import Database, NotAStoreError, Sqlite

SCHEMES = ("postgresql://", "postgres://")

FILE = "runtime.db"
"""The name of the file of SQLite in a folder."""


def is_url(text: str) -> bool:
    """Whether a text is the URL of a database."""
    return text.startswith(SCHEMES)


def at(place: str | Path) -> Database:
    """Return the database of a URL, or the file in a folder or of a path, which is created.

    Raises:
        NotAStoreError: if it is another URL, or its driver is not installed.
    """
    text = str(place)
    if is_url(text):
        try:
            from qsession_widget.runtime.store.postgres import Postgres  # noqa: PLC0415 - an extra
        except ImportError as error:
            raise NotAStoreError(
                "a store in PostgreSQL needs a driver: pip install 'qsession-widget[postgres]' "
                f"({error})"
            ) from error
        return Postgres(text)
    scheme, found, _ = text.partition("://")
    if found:
        # The rest may have a password.
        raise NotAStoreError(f"a store cannot be at {scheme}://; it can be at {SCHEMES[0]}")
    path = Path(text)
    return Sqlite(path / FILE if path.is_dir() else path)
