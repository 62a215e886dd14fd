"""Reading what trails show: the newest attestation of every key."""

from collections.abc import Iterable
from uuid import UUID

from domain.facts.attestations import ResultStatus
from domain.facts.evaluation import Head
from storage.database import Reader, Row

KEY_OF = "coalesce(nullif(a.name, ''), 'type:' || a.type)"
"""The key of an attestation `a`, as `domain.facts.attestations.NewAttestation.key` has it."""

_HEADS = """
SELECT trail_id, key, type, slot, digest, status, observed_at, attestation_id, result_n
FROM slot_heads WHERE trail_id = ANY($1::uuid[])
"""


async def heads_of(reader: Reader, trail_ids: Iterable[UUID]) -> dict[UUID, list[Head]]:
    """The newest attestation of every key of each trail."""
    heads: dict[UUID, list[Head]] = {trail_id: [] for trail_id in trail_ids}
    for row in await reader.rows(_HEADS, list(heads)):
        heads[row["trail_id"]].append(_head(row))
    return heads


def _head(row: Row) -> Head:
    return Head(
        key=row["key"],
        type=row["type"],
        slot=row["slot"],
        digest=row["digest"],
        status=ResultStatus(row["status"]),
        observed_at=row["observed_at"],
        attestation_id=row["attestation_id"],
        result_n=row["result_n"],
    )
