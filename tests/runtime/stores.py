"""The stores of tests, each of which may be kept by any kind of database."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from qsession_widget.runtime.store import places

if TYPE_CHECKING:
    from pathlib import Path

    from qsession_widget.runtime.store.database import Database
    from tests.postgresql import Cluster

on_both = pytest.mark.usefixtures("each_store")
"""Runs a test with its stores in files, and once more with them in PostgreSQL."""


class _Here:
    """Where stores are kept at present.

    Attributes:
        cluster: the server for them; None keeps them in files.
        urls: of the stores on it, by the folders that files would have.
    """

    cluster: Cluster | None = None
    urls: dict[Path, str] = {}  # noqa: RUF012 - of all tests


def keep_in(cluster: Cluster | None) -> None:
    """Keep stores on a server from now on, or in files."""
    _Here.cluster = cluster
    _Here.urls.clear()


def place(folder: Path) -> str:
    """Return the URL or the file of the store of a folder."""
    if _Here.cluster is None:
        return str(folder / places.FILE)
    if folder not in _Here.urls:
        _Here.urls[folder] = _Here.cluster.new()
    return _Here.urls[folder]


def database(folder: Path) -> Database:
    """Return the database of the store of a folder."""
    return places.at(place(folder))


def rows(folder: Path, query: str) -> list[Any]:
    """Return the rows of a query that both kinds of database understand."""
    return change(folder, query)


def change(folder: Path, query: str, *values: Any) -> list[Any]:
    """Execute a statement whose values are question marks, and return its rows if it has any."""
    if _Here.cluster is None:
        with closing(sqlite3.connect(place(folder))) as file, file:
            return file.execute(query, values).fetchall()
    import psycopg  # noqa: PLC0415 - not where the oldest packages are tested

    with psycopg.connect(place(folder)) as connection:
        cursor = connection.execute(query.replace("?", "%s").encode(), values or None)
        return cursor.fetchall() if cursor.description else []
