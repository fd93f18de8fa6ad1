"""Prepared statements: compiled once by SQLAlchemy Core, and executed by the driver itself.

Core writes the SQL for each kind of database and converts the values. Executing a short statement
through Core takes five times as long as SQLite needs for it.
"""

from __future__ import annotations

from functools import cache
from itertools import chain
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from sqlalchemy.dialects import sqlite
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import GenericFunction

from qsession_widget.runtime.store.database import driver

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from sqlalchemy import Connection, Delete, Dialect, Insert, Select, Update
    from sqlalchemy.sql.compiler import SQLCompiler

    _Statement = Select[Any] | Insert | Update | Delete

_MOST_VALUES = 999
"""Bind parameters of a statement that every SQLite takes."""


@cache
def _dialect(name: str) -> Dialect:
    """Return a dialect in whose SQL question marks stand for values."""
    if name == "sqlite":
        return sqlite.dialect()
    # Few stores need it, and it takes longer to import than all of SQLite's.
    from sqlalchemy.dialects.postgresql.base import PGDialect  # noqa: PLC0415 - see above

    return PGDialect(paramstyle="qmark")  # type: ignore[no-untyped-call] # of SQLAlchemy


class _Compiled:
    """The SQL of a statement in one dialect, and the conversions of its values."""

    def __init__(
        self, statement: _Statement, given: list[str] | None, ending: str, dialect: Dialect
    ) -> None:
        compiled = statement.compile(dialect=dialect, column_keys=given)
        self.sql = f"{compiled}{ending}"
        names = compiled.positiontup or []
        # With a single name, itemgetter returns the value itself.
        self.pick: Callable[[Mapping[str, Any]], tuple[Any, ...]] = (
            itemgetter(*names) if len(names) > 1 else lambda given: (given[names[0]],)
        )
        types = [compiled.binds[name].type.dialect_impl(dialect) for name in names]
        self.conversions = _those([each.bind_processor(dialect) for each in types])

    def values(self, given: Mapping[str, Any]) -> tuple[Any, ...]:
        """Return the values of its bind parameters, converted for the driver."""
        return _converted(self.pick(given), self.conversions)


class PreparedStatement:
    """One statement, compiled when it is used first: a start needs a few of them.

    Args:
        statement: a statement of Core; all of its values are bind parameters.
        given: for an insert or an update, the columns that get values.
        ending: SQL that follows, which Core writes for one dialect only.
    """

    def __init__(
        self, statement: _Statement, given: Iterable[str] | None = None, ending: str = ""
    ) -> None:
        self._statement = statement
        self._given = None if given is None else list(given)
        self._ending = ending
        self._known: dict[str, _Compiled] = {}

    def compiled(self, connection: Connection) -> _Compiled:
        """Return it in the dialect of a connection."""
        name = connection.dialect.name
        found = self._known.get(name)
        if found is None:
            dialect = _dialect(name)
            found = _Compiled(self._statement, self._given, self._ending, dialect)
            self._known[name] = found
        return found

    def run(self, connection: Connection, rows: Iterable[Mapping[str, Any]]) -> None:
        """Execute it for each of some rows, in the open transaction."""
        compiled = self.compiled(connection)
        values = [compiled.values(row) for row in rows]
        if values:
            driver(connection).executemany(compiled.sql, values)


class PreparedInsert(PreparedStatement):
    """One insert, of many rows at once.

    At each step of a statement the driver lets other threads have the interpreter, and then waits
    for it. With a step for each row, the commit of a hundred jobs waited a hundred times.
    """

    def run(self, connection: Connection, rows: Iterable[Mapping[str, Any]]) -> None:
        """Add rows, in the open transaction."""
        compiled = self.compiled(connection)
        values = [compiled.values(row) for row in rows]
        done = 0
        while done < len(values):
            # Powers of two, so that there are few statements for the driver to keep.
            count = 1 << ((len(values) - done).bit_length() - 1)
            count = min(count, _at_once(len(values[done])))
            some = values[done : done + count]
            sql = _of_many(compiled.sql, count)
            driver(connection).execute(sql, tuple(chain.from_iterable(some)))
            done += count


def _of_many(sql: str, count: int) -> str:
    """Return the SQL of an insert for so many rows."""
    if count == 1:
        return sql
    start, row = sql.split(" VALUES ", 1)
    return f"{start} VALUES {', '.join([row] * count)}"


def _at_once(columns: int) -> int:
    """Return how many rows one statement may add: the greatest power of two that SQLite takes."""
    return 1 << ((_MOST_VALUES // columns).bit_length() - 1)


class PreparedSelect(PreparedStatement):
    """One select, and the conversions of its columns."""

    def __init__(self, statement: Select[Any]) -> None:
        super().__init__(statement)
        self._columns = statement.selected_columns
        self._names = [str(column.key) for column in self._columns]
        self._readings: dict[str, _Conversions] = {}

    def rows(self, connection: Connection, **given: Any) -> list[dict[str, Any]]:
        """Return the rows, as dictionaries by column."""
        readings = self._of_columns(connection)
        return [
            dict(zip(self._names, _converted(row, readings), strict=True))
            for row in self._found(connection, given)
        ]

    def row(self, connection: Connection, **given: Any) -> dict[str, Any] | None:
        """Return the only possible row, None if there is none."""
        return next(iter(self.rows(connection, **given)), None)

    def scalar(self, connection: Connection, **given: Any) -> Any:
        """Return the only possible value, None if there is none."""
        for row in self._found(connection, given):
            return _converted(row, self._of_columns(connection))[0]
        return None

    def _found(self, connection: Connection, given: dict[str, Any]) -> list[tuple[Any, ...]]:
        compiled = self.compiled(connection)
        return driver(connection).execute(compiled.sql, compiled.values(given)).fetchall()

    def _of_columns(self, connection: Connection) -> _Conversions:
        name = connection.dialect.name
        found = self._readings.get(name)
        if found is None:
            dialect = _dialect(name)
            types = [column.type.dialect_impl(dialect) for column in self._columns]
            found = _those([each.result_processor(dialect, None) for each in types])
            self._readings[name] = found
        return found


class each_of(GenericFunction[str]):  # noqa: N801 - the name of a function in SQL
    """The members of a JSON array, as a table with one column, `value`."""

    name = "json_each"
    inherit_cache = True


@compiles(each_of, "postgresql")
def _each_of(element: each_of, compiler: SQLCompiler, **_: object) -> str:
    return f"json_array_elements_text(CAST({compiler.process(element.clauses)} AS JSON))"


def literal_sql(statement: Select[Any]) -> str:
    """Return the SQL of a statement whose values are constants, if it is the same everywhere."""
    dialect = _dialect("sqlite")
    return str(statement.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))


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
