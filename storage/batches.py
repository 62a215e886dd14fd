"""Set-based writes: many rows in one statement, whose SQL is generated from the tables when the program starts.

Rows are dicts and values are matched by name, never by position. The same statement writes one row or a thousand.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from operator import itemgetter
from typing import Any

from sqlalchemy import BigInteger, Boolean, DateTime, Integer, LargeBinary, SmallInteger, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from storage.database import Row, Transaction

_TYPES: Mapping[type, str] = {
    BigInteger: "bigint",
    SmallInteger: "smallint",
    Integer: "int",
    Boolean: "bool",
    DateTime: "timestamptz",
    JSONB: "jsonb",
    LargeBinary: "bytea",
    Text: "text",
    Uuid: "uuid",
}
"""PostgreSQL's name for each column type. A subclass stands before its parent, since the first match counts."""


@dataclass(frozen=True, slots=True)
class Rows:
    """The columns of a set of rows with their SQL types; a statement takes one array for each column."""

    types: Mapping[str, str]

    @classmethod
    def of(cls, table: Table, *columns: str) -> "Rows":
        """Take these columns of a table. Raises KeyError for a column that the table does not have."""
        kinds = {name: table.columns[name].type for name in columns}
        return cls({name: _type_name(kind) for name, kind in kinds.items()})

    def source(self, alias: str, first: int) -> str:
        """Return the FROM item `unnest(…) AS alias(…)`, whose arrays are the arguments from `$first` on."""
        arrays = ", ".join(f"${n}::{kind}[]" for n, kind in enumerate(self.types.values(), first))
        return f"unnest({arrays}) AS {alias}({', '.join(self.types)})"

    def arrays(self, rows: Iterable[Row]) -> list[list[Any]]:
        """Return the arguments for `source`; extra columns are ignored. Raises KeyError for a row without a column."""
        names = list(self.types)
        if len(names) == 1:
            return [[row[names[0]] for row in rows]]
        columns = zip(*map(itemgetter(*names), rows), strict=True)
        return [list(column) for column in columns] or [[] for _ in names]


def _type_name(kind: Any) -> str:
    return next(name for known, name in _TYPES.items() if isinstance(kind, known))


@dataclass(frozen=True, slots=True)
class BatchInsert:
    """An insert into one table: `columns` differ from row to row, `shared` columns have one value for all rows.

    The rows are one argument, an array of the table's row type: asyncpg inspects each item of an array of its own,
    which takes as long as everything else. `conflict` is what follows ON CONFLICT. Raises ValueError when a NOT NULL
    column is in neither list.
    """

    table: Table
    columns: tuple[str, ...]
    shared: tuple[str, ...] = ()
    conflict: str = ""
    _names: tuple[str, ...] = field(init=False)
    _values: Callable[[Row], tuple[Any, ...]] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_names", tuple(column.name for column in self.table.columns))
        object.__setattr__(self, "_values", itemgetter(*self.columns))
        needed = {column.name for column in self.table.columns if not column.nullable}
        if missing := needed - {*self.columns, *self.shared}:
            raise ValueError(f"{self.table.name}: the NOT NULL column {min(missing)} gets no value")

    def sql(self, place: int) -> str:
        """Return the statement, whose rows are the argument `$place`."""
        table, columns = self.table.name, (*self.columns, *self.shared)
        conflict = f" ON CONFLICT {self.conflict}" if self.conflict else ""
        return (
            f"INSERT INTO {table} ({', '.join(columns)}) "
            f"SELECT {', '.join(f'r.{name}' for name in columns)} FROM unnest(${place}::{table}[]) AS r{conflict}"
        )

    def rows(self, shared: Row, rows: Sequence[Row]) -> list[tuple[Any, ...]]:
        """Return the argument. Raises KeyError for a row without a column, or a missing shared value."""
        if not rows:
            return []
        values: dict[str, Iterable[Any]] = {name: repeat(shared[name]) for name in self.shared}
        values |= zip(self.columns, zip(*map(self._values, rows), strict=True), strict=True)
        return list(zip(*[values.get(name, _NOTHING) for name in self._names], strict=False))


_NOTHING = repeat(None)
"""The values of a column that an insert leaves out."""


class Batch:
    """Inserts into several tables as one statement: one round trip, all or nothing."""

    def __init__(self, *inserts: BatchInsert, returning: str = "") -> None:
        self._inserts = inserts
        self.sql = self._statement(returning)

    def _statement(self, returning: str) -> str:
        *before, last = (insert.sql(place) for place, insert in enumerate(self._inserts, 1))
        others = ", ".join(f"i{n} AS ({sql})" for n, sql in enumerate(before))
        return (f"WITH {others} " if others else "") + last + (f" RETURNING {returning}" if returning else "")

    async def write(self, tx: Transaction, shared: Row, *batches: Sequence[Row]) -> int:
        """Insert the rows of each table and return how many were inserted into the last table."""
        return await tx.execute(self.sql, *self._arguments(shared, batches))

    async def write_returning(self, tx: Transaction, shared: Row, *batches: Sequence[Row]) -> list[Row]:
        """Insert the rows of each table and return the RETURNING rows of the last table."""
        return await tx.rows(self.sql, *self._arguments(shared, batches))

    def _arguments(self, shared: Row, batches: Sequence[Sequence[Row]]) -> list[Any]:
        return [insert.rows(shared, rows) for insert, rows in zip(self._inserts, batches, strict=True)]
