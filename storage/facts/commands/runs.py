"""Marking the latest results of superseded runs, which no longer count."""

from collections import defaultdict
from collections.abc import Collection
from uuid import UUID

from domain.facts.evaluation import superseded_runs
from storage.batches import Rows
from storage.database import Row, Transaction
from storage.facts.tables import latest_results

_RUNS = """
SELECT l.*
FROM unnest($1::uuid[]) AS t(id) CROSS JOIN LATERAL (
  SELECT DISTINCT trail_id, run, earlier_runs, superseded FROM latest_results WHERE trail_id = t.id OFFSET 0
) l
"""

_WRONG = Rows.of(latest_results, "trail_id", "run", "superseded")
_TURN = f"""
UPDATE latest_results l SET superseded = NOT l.superseded
FROM {_WRONG.source("wrong", 1)}
WHERE l.trail_id = wrong.trail_id AND l.run IS NOT DISTINCT FROM wrong.run AND l.superseded = wrong.superseded
"""


async def mark_superseded(tx: Transaction, trail_ids: Collection[UUID]) -> int:
    """Mark the latest results of superseded runs, and no others; return how many were marked otherwise before.

    The trails must be locked.
    """
    of_trails: dict[UUID, list[Row]] = defaultdict(list)
    for row in await tx.rows(_RUNS, list(trail_ids)) if trail_ids else ():
        of_trails[row["trail_id"]].append(row)
    wrong = {(row["trail_id"], row["run"], row["superseded"]) for rows in of_trails.values() for row in _wrong(rows)}
    rows = [dict(zip(_WRONG.types, values, strict=True)) for values in wrong]
    return await tx.execute(_TURN, *_WRONG.arrays(rows)) if rows else 0


def _wrong(rows: Collection[Row]) -> list[Row]:
    gone = superseded_runs((row["run"], row["earlier_runs"] or ()) for row in rows if row["run"])
    return [row for row in rows if row["superseded"] != (row["run"] in gone)]
