"""Reading the latest results of trails: the newest attestation of every key."""

from collections.abc import Iterable
from uuid import UUID

from domain.facts.attestations import ResultStatus
from domain.facts.evaluation import LatestResult
from storage.database import Reader

KEY_OF = "coalesce(nullif(a.name, ''), 'type:' || a.type)"
"""SQL for the key of an attestation `a`; the same as `domain.facts.attestations.NewAttestation.key`."""

_LATEST = """
SELECT l.*
FROM unnest($1::uuid[]) AS t(id) CROSS JOIN LATERAL (
  SELECT trail_id, key, type, slot, digest, status, observed_at, attestation_id, result_n
  FROM latest_results WHERE trail_id = t.id OFFSET 0
) l
"""
"""One index probe for each trail. OFFSET 0 keeps PostgreSQL from reading the whole table while it has no statistics."""

_STATUSES = {status.value: status for status in ResultStatus}


async def latest_results_of(reader: Reader, trail_ids: Iterable[UUID]) -> dict[UUID, list[LatestResult]]:
    """Return the newest attestation of every key, for each trail."""
    latest: dict[UUID, list[LatestResult]] = {trail_id: [] for trail_id in trail_ids}
    for row in await reader.rows(_LATEST, list(latest)):
        trail_id, key, kind, slot, digest, status, observed_at, attestation_id, result_n = row.values()
        newest = LatestResult(key, kind, slot, digest, _STATUSES[status], observed_at, attestation_id, result_n)
        latest[trail_id].append(newest)
    return latest
