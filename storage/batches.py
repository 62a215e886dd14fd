"""Set-based writes: many rows in one statement, whose SQL is generated from the tables when the program starts.

Rows are dicts and values are matched by name, never by position. The same statement writes one row or a thousand.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
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

    `conflict` is what follows ON CONFLICT. Raises ValueError when a NOT NULL column is in neither list.
    """

    table: Table
    columns: tuple[str, ...]
    shared: tuple[str, ...] = ()
    conflict: str = ""
    rows: Rows = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "rows", Rows.of(self.table, *self.columns))
        needed = {column.name for column in self.table.columns if not column.nullable}
        if missing := needed - {*self.columns, *self.shared}:
            raise ValueError(f"{self.table.name}: the NOT NULL column {min(missing)} gets no value")

    def sql(self, places: Mapping[str, int], first: int) -> str:
        """Return the statement, with the shared values at `places` and the arrays from `$first` on."""
        values = [*(f"r.{name}" for name in self.columns), *(f"${places[name]}" for name in self.shared)]
        conflict = f" ON CONFLICT {self.conflict}" if self.conflict else ""
        return (
            f"INSERT INTO {self.table.name} ({', '.join((*self.columns, *self.shared))}) "
            f"SELECT {', '.join(values)} FROM {self.rows.source('r', first)}{conflict}"
        )


class Batch:
    """Inserts into several tables as one statement: one round trip, all or nothing."""

    def __init__(self, *inserts: BatchInsert, returning: str = "") -> None:
        self._inserts = inserts
        self._shared = tuple(dict.fromkeys(name for insert in inserts for name in insert.shared))
        self.sql = self._statement(returning)

    def _statement(self, returning: str) -> str:
        places = {name: n for n, name in enumerate(self._shared, 1)}
        first, statements = len(places) + 1, list[str]()
        for insert in self._inserts:
            statements.append(insert.sql(places, first))
            first += len(insert.columns)
        *before, last = statements
        others = ", ".join(f"i{n} AS ({sql})" for n, sql in enumerate(before))
        return (f"WITH {others} " if others else "") + last + (f" RETURNING {returning}" if returning else "")

    async def write(self, tx: Transaction, shared: Row, *batches: Sequence[Row]) -> int:
        """Insert the rows of each table and return how many were inserted into the last table."""
        return await tx.execute(self.sql, *self._arguments(shared, batches))

    async def write_returning(self, tx: Transaction, shared: Row, *batches: Sequence[Row]) -> list[Row]:
        """Insert the rows of each table and return the RETURNING rows of the last table."""
        return await tx.rows(self.sql, *self._arguments(shared, batches))

    def _arguments(self, shared: Row, batches: Sequence[Sequence[Row]]) -> list[Any]:
        arguments = [shared[name] for name in self._shared]
        for insert, rows in zip(self._inserts, batches, strict=True):
            arguments += insert.rows.arrays(rows)
        return arguments
