"""Prepared statements: compiled once by SQLAlchemy Core, and executed by the driver itself.

Core writes the SQL and converts the values. Executing a short statement through Core takes five
times as long as SQLite needs for it.
"""

from __future__ import annotations

from functools import cached_property
from itertools import chain
from operator import itemgetter
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy.dialects import sqlite

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Mapping

    from sqlalchemy import Connection, Delete, Insert, Select, Update

    _Statement = Select[Any] | Insert | Update | Delete

_DIALECT = sqlite.dialect()

_MOST_VALUES = 999
"""Bind parameters of a statement that every SQLite takes."""


class _Compiled:
    """The SQL of a statement, and the conversions of its values."""

    def __init__(self, statement: _Statement, given: list[str] | None) -> None:
        compiled = statement.compile(dialect=_DIALECT, column_keys=given)
        self.sql = str(compiled)
        names = compiled.positiontup or []
        # With a single name, itemgetter returns the value itself.
        self.pick: Callable[[Mapping[str, Any]], tuple[Any, ...]] = (
            itemgetter(*names) if len(names) > 1 else lambda given: (given[names[0]],)
        )
        types = [compiled.binds[name].type.dialect_impl(_DIALECT) for name in names]
        self.conversions = _those([each.bind_processor(_DIALECT) for each in types])


class PreparedStatement:
    """One statement, compiled when it is used first: a start needs a few of them.

    Args:
        statement: a statement of Core; all of its values are bind parameters.
        given: for an insert or an update, the columns that get values.
    """

    def __init__(self, statement: _Statement, given: Iterable[str] | None = None) -> None:
        self._statement = statement
        self._given = None if given is None else list(given)

    @cached_property
    def _compiled(self) -> _Compiled:
        return _Compiled(self._statement, self._given)

    @property
    def sql(self) -> str:
        """Its SQL."""
        return self._compiled.sql

    def values(self, given: Mapping[str, Any]) -> tuple[Any, ...]:
        """Return the values of its bind parameters, converted for the driver."""
        compiled = self._compiled
        return _converted(compiled.pick(given), compiled.conversions)

    def run(self, connection: Connection, rows: Iterable[Mapping[str, Any]]) -> None:
        """Execute it for each of some rows, in the open transaction."""
        values = [self.values(row) for row in rows]
        if values:
            driver(connection).executemany(self.sql, values)


class PreparedInsert(PreparedStatement):
    """One insert, of many rows at once.

    At each step of a statement the driver lets other threads have the interpreter, and then waits
    for it. With a step for each row, the commit of a hundred jobs waited a hundred times.
    """

    def run(self, connection: Connection, rows: Iterable[Mapping[str, Any]]) -> None:
        """Add rows, in the open transaction."""
        values = [self.values(row) for row in rows]
        done = 0
        while done < len(values):
            # Powers of two, so that there are few statements for the driver to keep.
            count = 1 << ((len(values) - done).bit_length() - 1)
            count = min(count, _at_once(len(values[done])))
            some = values[done : done + count]
            driver(connection).execute(self._of(count), tuple(chain.from_iterable(some)))
            done += count

    def _of(self, count: int) -> str:
        """Return the SQL for so many rows."""
        if count == 1:
            return self.sql
        start, row = self.sql.split(" VALUES ", 1)
        return f"{start} VALUES {', '.join([row] * count)}"


def _at_once(columns: int) -> int:
    """Return how many rows one statement may add: the greatest power of two that SQLite takes."""
    return 1 << ((_MOST_VALUES // columns).bit_length() - 1)


class PreparedSelect(PreparedStatement):
    """One select, and the conversions of its columns."""

    def __init__(self, statement: Select[Any]) -> None:
        super().__init__(statement)
        columns = statement.selected_columns
        self._names = [str(column.key) for column in columns]
        types = [column.type.dialect_impl(_DIALECT) for column in columns]
        self._readings = _those([each.result_processor(_DIALECT, None) for each in types])

    def rows(self, connection: Connection, **given: Any) -> list[dict[str, Any]]:
        """Return the rows, as dictionaries by column."""
        return [
            dict(zip(self._names, _converted(row, self._readings), strict=True))
            for row in self._found(connection, given)
        ]

    def row(self, connection: Connection, **given: Any) -> dict[str, Any] | None:
        """Return the only possible row, None if there is none."""
        return next(iter(self.rows(connection, **given)), None)

    def scalar(self, connection: Connection, **given: Any) -> Any:
        """Return the only possible value, None if there is none."""
        for row in self._found(connection, given):
            return _converted(row, self._readings)[0]
        return None

    def _found(self, connection: Connection, given: dict[str, Any]) -> list[tuple[Any, ...]]:
        return driver(connection).execute(self.sql, self.values(given)).fetchall()


def literal_sql(statement: Select[Any]) -> str:
    """Return the SQL of a statement whose values are constants."""
    return str(statement.compile(dialect=_DIALECT, compile_kwargs={"literal_binds": True}))


def driver(connection: Connection) -> sqlite3.Connection:
    """Return the driver's own connection."""
    return cast("sqlite3.Connection", connection.connection.driver_connection)


_Conversions = list[tuple[int, "Callable[[Any], Any]"]]


def _those(processors: list[Callable[[Any], Any] | None]) -> _Conversions:
    """Leave out the columns whose values need no conversion."""
    return [(place, each) for place, each in enumerate(processors) if each is not None]


def _converted(values: tuple[Any, ...], conversions: _Conversions) -> tuple[Any, ...]:
    if not conversions:
        return values
    converted = list(values)
    for place, convert in conversions:
        converted[place] = convert(converted[place])
    return tuple(converted)
