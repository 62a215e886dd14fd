"""Later results of an attestation, from processing its evidence. The first result comes with the attestation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from domain.audit.events import Actor, AuditName, Event
from domain.facts.attestations import ResultStatus
from domain.facts.records import ATTESTATION_RESULT
from domain.notifications.triggers import Notice, attestation_failed
from domain.tenant import Tenant
from storage.audit.commands import append
from storage.batches import Rows
from storage.database import Transaction
from storage.facts.commands.judgements import judge_attestations
from storage.facts.commands.status import lock_trails, refresh_status
from storage.facts.tables import attestation_results
from storage.notifications.commands.notices import raise_notices


@dataclass(frozen=True, slots=True)
class NewResult:
    """A new result of an attestation, from an evidence file or an override. While it decides, its details are shown."""

    trail_id: UUID
    attestation_id: UUID
    status: ResultStatus
    actor: Actor
    details: str | None = None
    reason: str | None = None
    processor: str | None = None
    evidence_id: UUID | None = None


_RESULTS = Rows.of(
    attestation_results, "id", "attestation_id", "status", "reason", "details", "processor", "evidence_id"
)
_ADD = f"""
WITH added AS (
  INSERT INTO attestation_results (attestation_id, n, org_id, status, id, reason, details, processor, evidence_id,
                                   created_at)
  SELECT r.attestation_id,
         (SELECT max(n) FROM attestation_results known WHERE known.attestation_id = r.attestation_id)
           + row_number() OVER (PARTITION BY r.attestation_id ORDER BY r.id),
         $1, r.status, r.id, r.reason, r.details, r.processor, r.evidence_id, $2
  FROM {_RESULTS.source("r", 3)}
  RETURNING *
)
SELECT r.id, r.org_id, r.attestation_id, r.n, r.status, r.reason, r.details, r.processor, r.evidence_id, r.created_at,
       coalesce(a.name, a.type) AS label
FROM added r JOIN attestations a ON a.id = r.attestation_id ORDER BY r.id
"""

_SHOW = """
UPDATE latest_results l SET status = judged.status, result_n = judged.n
FROM unnest($1::uuid[]) AS asked(id) CROSS JOIN LATERAL (
  SELECT h.ctid AS place, r.status, r.n
  FROM attestations a
  JOIN judgements j ON j.attestation_id = a.id
  JOIN attestation_results r ON r.attestation_id = a.id AND r.n = j.result_n
  JOIN latest_results h ON h.trail_id = a.trail_id AND h.slot = coalesce(a.slot, '')
    AND h.digest = coalesce(a.digest, '') AND h.identity = a.identity AND h.attestation_id = a.id
  WHERE a.id = asked.id OFFSET 0
) judged
WHERE l.ctid = judged.place
"""
"""An attestation that is the newest of its identity counts with the result that decides. Its trail is locked, so the
place of the row does not change meanwhile."""


async def add_results(tx: Transaction, tenant: Tenant, new: Sequence[NewResult]) -> None:
    """Add results and judge the trails again. Raises NotFound for an unknown trail.

    The trails are locked while the results get their numbers.
    """
    trails = await lock_trails(tx, tenant, [result.trail_id for result in new])
    drafts = {tx.new_id(): result for result in new}
    rows = [
        {
            "id": result_id,
            "attestation_id": result.attestation_id,
            "status": result.status.value,
            "reason": result.reason,
            "details": result.details,
            "processor": result.processor,
            "evidence_id": result.evidence_id,
        }
        for result_id, result in drafts.items()
    ]
    added = await tx.rows(_ADD, tenant.org_id, tx.now, *_RESULTS.arrays(rows))
    judged = {result.attestation_id for result in new}
    await judge_attestations(tx, tenant, judged)
    await tx.execute(_SHOW, list(judged))
    flows = {trail.id: trail.flow_id for trail in trails}
    failed = [(row, drafts[row["id"]]) for row in added if row["status"] == ResultStatus.FAILED]
    await raise_notices(tx, tenant, [_notice(row, result, flows[result.trail_id]) for row, result in failed])
    await refresh_status(tx, tenant, trails)
    await append(tx, tenant, [_event(drafts[row["id"]], row) for row in added])


def _notice(row: Mapping[str, Any], result: NewResult, flow_id: UUID) -> Notice:
    return attestation_failed(row["attestation_id"], result.trail_id, flow_id, row["label"], result.details)


def _event(result: NewResult, row: Mapping[str, Any]) -> Event:
    payload = {
        "attestationId": str(row["attestation_id"]),
        "trailId": str(result.trail_id),
        "status": row["status"],
        "processor": row["processor"],
        "result": row["n"],
    }
    name = AuditName.ATTESTATION_PROCESSED
    return Event(name, result.actor, ATTESTATION_RESULT, row, payload, trail_id=result.trail_id)
