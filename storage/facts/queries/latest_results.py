"""Reading what trails show: the newest attestation of every key."""

from collections.abc import Iterable
from uuid import UUID

from domain.facts.attestations import ResultStatus
from domain.facts.evaluation import LatestResult
from storage.database import Reader

KEY_OF = "coalesce(nullif(a.name, ''), 'type:' || a.type)"
"""The key of an attestation `a`, as `domain.facts.attestations.NewAttestation.key` has it."""

_LATEST = """
SELECT trail_id, key, type, slot, digest, status, observed_at, attestation_id, result_n
FROM latest_results WHERE trail_id = ANY($1::uuid[])
"""


_STATUSES = {status.value: status for status in ResultStatus}


async def latest_results_of(reader: Reader, trail_ids: Iterable[UUID]) -> dict[UUID, list[LatestResult]]:
    """The newest attestation of every key of each trail."""
    latest: dict[UUID, list[LatestResult]] = {trail_id: [] for trail_id in trail_ids}
    for row in await reader.rows(_LATEST, list(latest)):
        trail_id, key, kind, slot, digest, status, observed_at, attestation_id, result_n = row.values()
        newest = LatestResult(key, kind, slot, digest, _STATUSES[status], observed_at, attestation_id, result_n)
        latest[trail_id].append(newest)
    return latest
