"""Statements of SQLAlchemy Core that are put together once, and run by the driver itself.

Core writes their SQL and knows how each column is kept. To let it run a short statement as well
takes five times as long as SQLite needs for it.
"""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy.dialects import sqlite

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Mapping

    from sqlalchemy import Connection, Delete, Insert, Select, Update

_DIALECT = sqlite.dialect()


class PreparedStatement:
    """One statement: its SQL, and how values go to the driver.

    Args:
        statement: of Core; all of its values are handed in later, as its bindparams.
        given: for an insert and an update, which columns are handed in.
    """

    def __init__(
        self, statement: Select[Any] | Insert | Update | Delete, given: Iterable[str] | None = None
    ) -> None:
        compiled = statement.compile(
            dialect=_DIALECT,
            column_keys=None if given is None else list(given),
        )
        self.sql = str(compiled)
        names = compiled.positiontup or []
        # With one name alone it would give the value itself.
        self._pick: Callable[[Mapping[str, Any]], tuple[Any, ...]] = (
            itemgetter(*names) if len(names) > 1 else lambda given: (given[names[0]],)
        )
        types = [compiled.binds[name].type.dialect_impl(_DIALECT) for name in names]
        self._conversions = _those([each.bind_processor(_DIALECT) for each in types])

    def values(self, given: Mapping[str, Any]) -> tuple[Any, ...]:
        """Give the values of its bindparams as the driver takes them."""
        return _converted(self._pick(given), self._conversions)

    def run(self, connection: Connection, rows: Iterable[Mapping[str, Any]]) -> None:
        """Run it for each of some rows, in the transaction that is open."""
        values = [self.values(row) for row in rows]
        if values:
            connection.exec_driver_sql(self.sql, values)


class PreparedSelect(PreparedStatement):
    """One select, and how what it finds is read."""

    def __init__(self, statement: Select[Any]) -> None:
        super().__init__(statement)
        columns = statement.selected_columns
        self._names = [str(column.key) for column in columns]
        types = [column.type.dialect_impl(_DIALECT) for column in columns]
        self._readings = _those([each.result_processor(_DIALECT, None) for each in types])

    def rows(self, connection: Connection, **given: Any) -> list[dict[str, Any]]:
        """Give what it finds, by the names of its columns."""
        return [
            dict(zip(self._names, _converted(row, self._readings), strict=True))
            for row in self._found(connection, given)
        ]

    def row(self, connection: Connection, **given: Any) -> dict[str, Any] | None:
        """Give the only row that it can find, None where there is none."""
        return next(iter(self.rows(connection, **given)), None)

    def scalar(self, connection: Connection, **given: Any) -> Any:
        """Give the only value that it can find, None where there is none."""
        for row in self._found(connection, given):
            return _converted(row, self._readings)[0]
        return None

    def _found(self, connection: Connection, given: dict[str, Any]) -> list[tuple[Any, ...]]:
        return driver(connection).execute(self.sql, self.values(given)).fetchall()


def driver(connection: Connection) -> sqlite3.Connection:
    """Give the driver's own connection."""
    return cast("sqlite3.Connection", connection.connection.driver_connection)


_Conversions = list[tuple[int, "Callable[[Any], Any]"]]


def _those(processors: list[Callable[[Any], Any] | None]) -> _Conversions:
    """Leave out the columns whose values the driver takes and gives as they are."""
    return [(place, each) for place, each in enumerate(processors) if each is not None]


def _converted(values: tuple[Any, ...], conversions: _Conversions) -> tuple[Any, ...]:
    if not conversions:
        return values
    converted = list(values)
    for place, convert in conversions:
        converted[place] = convert(converted[place])
    return tuple(converted)
