"""Which organisations have work waiting, and since when, by a loose index scan: one probe for each organisation."""

from uuid import UUID

from storage.database import Reader


def soonest_of_each(table: str, keys: str, order: str) -> str:
    """Return SQL for the first row, by the column `order`, of every distinct combination of `keys`.

    It selects `keys` and `order`, with one index probe for each combination, however many rows that has. It needs an
    index that begins with the keys and the order.
    """
    return f"""
  (SELECT {keys}, {order} FROM {table} ORDER BY {keys}, {order} LIMIT 1)
  UNION ALL
  SELECT following.* FROM waiting CROSS JOIN LATERAL (
    SELECT {keys}, {order} FROM {table} q
    WHERE ({_of("q", keys)}) > ({_of("waiting", keys)}) ORDER BY {keys}, {order} LIMIT 1
  ) following
"""


def _of(alias: str, keys: str) -> str:
    return ", ".join(f"{alias}.{key}" for key in keys.split(", "))


_WAITING = """
WITH RECURSIVE waiting AS (
  (SELECT org_id FROM {table} WHERE {condition} ORDER BY org_id LIMIT 1)
  UNION ALL
  SELECT (SELECT org_id FROM {table} WHERE org_id > w.org_id AND {condition} ORDER BY org_id LIMIT 1)
  FROM waiting w WHERE w.org_id IS NOT NULL
)
SELECT org_id FROM waiting WHERE org_id IS NOT NULL LIMIT {limit}
"""

MAX_ORGANISATIONS = 200
"""Organisations served in one round. The list is read again for every batch, so further ones get the next round."""


async def organisations_waiting(reader: Reader, table: str, condition: str = "true", *args: object) -> list[UUID]:
    """Return the organisations with rows in a queue table, with one index probe each, however long the queue is.

    `table` and `condition` are trusted SQL, never input.
    """
    sql = _WAITING.format(table=table, condition=condition, limit=MAX_ORGANISATIONS)
    return [row["org_id"] for row in await reader.rows(sql, *args)]
