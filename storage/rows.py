"""Single-row writes, for definitions and the like; facts in number go through `unnest`."""

from collections.abc import Mapping
from typing import Any

from storage.database import Transaction


async def insert(tx: Transaction, table: str, row: Mapping[str, Any]) -> None:
    """Insert one row. Table and column names are our own, never input."""
    places = ", ".join(f"${n}" for n in range(1, len(row) + 1))
    await tx.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({places})", *row.values())  # noqa: S608
