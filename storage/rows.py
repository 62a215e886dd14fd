"""Conversion between rows and frozen dataclasses, by column name and never by position."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import fields
from operator import itemgetter
from typing import Any, TypeVar

from storage.database import Row, Transaction

T = TypeVar("T")


def columns(cls: type[Any], *, prefix: str = "", but: Collection[str] = ()) -> str:
    """Return a dataclass's fields, except those in `but`, as a SELECT list; `prefix` is the table's alias and a dot."""
    return ", ".join(prefix + field.name for field in fields(cls) if field.name not in but)


def from_row(cls: type[T], **converters: Callable[[Any], Any]) -> Callable[[Row], T]:
    """Return a function that converts a row to a dataclass: each field from the column of its name.

    Extra columns are ignored. A converter converts the value of its field: `from_row(Key, algorithm=KeyAlgorithm)`.
    Raises TypeError for a converter without a field.
    """
    names = [field.name for field in fields(cls)]  # type: ignore[arg-type]  # every caller passes a dataclass
    if unknown := converters.keys() - set(names):
        raise TypeError(f"{cls.__name__} has no field {min(unknown)}")
    values = itemgetter(*names) if len(names) > 1 else lambda row: (row[names[0]],)
    places = [(names.index(name), convert) for name, convert in converters.items()]

    def make(row: Row) -> T:
        given = list(values(row))
        for place, convert in places:
            given[place] = convert(given[place])
        return cls(*given)

    return make


def to_row(record: Any) -> dict[str, Any]:
    """Return a dataclass's values by the names of their fields; unlike `dataclasses.asdict`, it copies no value."""
    return {field.name: getattr(record, field.name) for field in fields(record)}


async def insert(tx: Transaction, table: str, row: Mapping[str, Any]) -> None:
    """Insert one row, for example of a definition; many rows are written with `storage.batches`.

    Table and column names are trusted text, never input.
    """
    places = ", ".join(f"${n}" for n in range(1, len(row) + 1))
    await tx.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({places})", *row.values())
