"""Judging attestations with several results: which of the results decides."""

from collections import defaultdict
from collections.abc import Collection
from uuid import UUID

from domain.facts.attestations import Result, ResultStatus, deciding
from domain.tenant import Tenant
from storage.batches import Rows
from storage.database import Transaction
from storage.facts.tables import judgements

_RESULTS = """
SELECT r.*
FROM unnest($1::uuid[]) AS asked(id) CROSS JOIN LATERAL (
  SELECT attestation_id, n, status,
         coalesce((SELECT name FROM evidence WHERE id = evidence_id), evidence_id::text) AS file
  FROM attestation_results WHERE attestation_id = asked.id OFFSET 0
) r
"""
"""One index probe for each attestation and file. OFFSET 0 keeps PostgreSQL from reading whole tables."""

_JUDGED = Rows.of(judgements, "attestation_id", "result_n")
_KEEP = f"""
INSERT INTO judgements AS known (attestation_id, org_id, result_n)
SELECT judged.attestation_id, $1, judged.result_n FROM {_JUDGED.source("judged", 2)}
ON CONFLICT (attestation_id) DO UPDATE SET org_id = excluded.org_id, result_n = excluded.result_n
WHERE (known.org_id, known.result_n) <> (excluded.org_id, excluded.result_n)
"""


async def judge_attestations(tx: Transaction, tenant: Tenant, attestation_ids: Collection[UUID]) -> int:
    """Keep which result decides, for attestations with several; return how many judgements changed.

    The trails of the attestations must be locked.
    """
    results: dict[UUID, list[Result]] = defaultdict(list)
    for row in await tx.rows(_RESULTS, list(attestation_ids)):
        results[row["attestation_id"]].append(Result(row["n"], ResultStatus(row["status"]), row["file"]))
    judged = [
        {"attestation_id": attestation_id, "result_n": deciding(results[attestation_id]).n}
        for attestation_id in sorted(results)
    ]
    return await tx.execute(_KEEP, tenant.org_id, *_JUDGED.arrays(judged))
