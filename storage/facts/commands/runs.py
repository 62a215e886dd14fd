"""The latest results of locked trails, with those of superseded runs marked: they no longer count."""

from collections.abc import Iterable, Sequence
from uuid import UUID

from domain.facts.evaluation import LatestResult, superseded_runs
from storage.batches import Rows
from storage.database import Row, Transaction
from storage.facts.queries.latest_results import latest_result
from storage.facts.tables import latest_results

_ALL = """
SELECT l.*
FROM unnest($1::uuid[]) AS t(id) CROSS JOIN LATERAL (
  SELECT identity, name, type, slot, digest, status, observed_at, attestation_id, result_n,
         trail_id, run, earlier_runs, superseded
  FROM latest_results WHERE trail_id = t.id OFFSET 0
) l
"""

_WRONG = Rows.of(latest_results, "trail_id", "run", "superseded")
_TURN = f"""
UPDATE latest_results l SET superseded = NOT l.superseded
FROM {_WRONG.source("wrong", 1)}
WHERE l.trail_id = wrong.trail_id AND l.run IS NOT DISTINCT FROM wrong.run AND l.superseded = wrong.superseded
"""


async def counted_results(tx: Transaction, trail_ids: Iterable[UUID]) -> tuple[dict[UUID, list[LatestResult]], int]:
    """Mark the latest results of superseded runs, and no others.

    Return those that count, for each trail, and how many were marked otherwise before. The trails must be locked.
    """
    of_trails: dict[UUID, list[Row]] = {trail_id: [] for trail_id in trail_ids}
    doubtful: set[UUID] = set()
    for row in await tx.rows(_ALL, list(of_trails)):
        of_trails[row["trail_id"]].append(row)
        if row["earlier_runs"] or row["superseded"]:
            doubtful.add(row["trail_id"])
    gone = {trail_id: _superseded(of_trails[trail_id]) for trail_id in doubtful}
    marked = await _mark(tx, [row for one in doubtful for row in of_trails[one]], gone) if doubtful else 0
    counted = {
        one: [row for row in rows if row["run"] not in gone[one]] if one in gone else rows
        for one, rows in of_trails.items()
    }
    return {one: [latest_result(row) for row in rows] for one, rows in counted.items()}, marked


def _superseded(rows: Sequence[Row]) -> set[str]:
    return superseded_runs((row["run"], row["earlier_runs"] or ()) for row in rows if row["run"])


async def _mark(tx: Transaction, rows: Sequence[Row], gone: dict[UUID, set[str]]) -> int:
    wrong = {
        (row["trail_id"], row["run"], row["superseded"])
        for row in rows
        if row["superseded"] != (row["run"] in gone[row["trail_id"]])
    }
    turned = [dict(zip(_WRONG.types, values, strict=True)) for values in wrong]
    return await tx.execute(_TURN, *_WRONG.arrays(turned)) if turned else 0
