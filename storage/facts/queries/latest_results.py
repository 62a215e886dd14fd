"""Reading the latest results of trails: the newest attestation of every identity, except those of superseded runs."""

from collections.abc import Iterable, Sequence
from uuid import UUID

from domain.facts.attestations import ResultStatus
from domain.facts.evaluation import LatestResult
from storage.database import Reader, Row

_LATEST = """
SELECT l.*
FROM unnest($1::uuid[]) AS t(id) CROSS JOIN LATERAL (
  SELECT identity, name, type, slot, digest, status, observed_at, attestation_id, result_n, trail_id
  FROM latest_results WHERE trail_id = t.id AND NOT superseded OFFSET 0
) l
"""
"""One index probe for each trail. OFFSET 0 keeps PostgreSQL from reading the whole table while it has no statistics."""

_STATUSES = {status.value: status for status in ResultStatus}


async def latest_results_of(reader: Reader, trail_ids: Iterable[UUID]) -> dict[UUID, list[LatestResult]]:
    """Return the newest attestation of every identity that counts, for each trail."""
    latest: dict[UUID, list[LatestResult]] = {trail_id: [] for trail_id in trail_ids}
    for row in await latest_rows_of(reader, list(latest)):
        latest[row["trail_id"]].append(latest_result(row))
    return latest


async def latest_rows_of(reader: Reader, trail_ids: Sequence[UUID]) -> list[Row]:
    """Return the same as rows with a `trail_id`, for a caller that converts many of them elsewhere."""
    return await reader.rows(_LATEST, trail_ids)


def latest_result(row: Row) -> LatestResult:
    """Convert a row that begins with the fields of a latest result, in their order."""
    identity, name, kind, slot, digest, status, observed_at, attestation_id, result_n, *_ = row.values()
    return LatestResult(identity, name, kind, slot, digest, _STATUSES[status], observed_at, attestation_id, result_n)
