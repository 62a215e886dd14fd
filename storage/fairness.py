"""Which organisations have work waiting, found by skipping through an index that begins with org_id."""

from uuid import UUID

from storage.database import Reader

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
"""More are served in the next round: the list is read anew for every batch."""


async def organisations_waiting(reader: Reader, table: str, condition: str = "true", *args: object) -> list[UUID]:
    """One index probe per organisation, however long the queue is. `table` and `condition` are SQL of our own."""
    sql = _WAITING.format(table=table, condition=condition, limit=MAX_ORGANISATIONS)
    return [row["org_id"] for row in await reader.rows(sql, *args)]
