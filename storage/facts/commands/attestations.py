"""Recording attestations: the only implementation, for one from the API and for hundreds from the drain."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from domain.audit.events import AuditName, Event
from domain.canonical import normalise
from domain.facts.attestations import Attestation, NewAttestation, ResultStatus
from domain.facts.records import ATTESTATION
from domain.notifications.triggers import Notice, attestation_failed
from storage.audit.commands import append
from storage.database import Transaction, columns_of
from storage.facts.commands.status import LockedTrail, lock_trails, refresh_status
from storage.notifications.commands.notices import raise_notices
from storage.tenant import Tenant

_RECORD = """
WITH facts AS (
  INSERT INTO attestations (id, org_id, trail_id, type, name, slot, digest, git_commit, origin, source_id, details,
                            description, evidence_url, user_data, payload, claimed_by, reported_by, observed_at,
                            created_at)
  SELECT a.id, $1, a.trail_id, a.type, a.name, a.slot, a.digest, a.git_commit, a.origin, a.source_id, a.details,
         a.description, a.evidence_url, a.user_data, a.payload, a.claimed_by, a.reported_by, a.observed_at, $2
  FROM unnest($3::uuid[], $4::uuid[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[],
              $11::uuid[], $12::text[], $13::text[], $14::text[], $15::jsonb[], $16::jsonb[], $17::text[],
              $18::uuid[], $19::timestamptz[])
    AS a(id, trail_id, type, name, slot, digest, git_commit, origin, source_id, details, description, evidence_url,
         user_data, payload, claimed_by, reported_by, observed_at)
), results AS (
  INSERT INTO attestation_results (attestation_id, n, org_id, status, id, created_at)
  SELECT r.id, 1, $1, r.status, r.id, $2 FROM unnest($3::uuid[], $20::text[]) AS r(id, status)
)
INSERT INTO slot_heads (org_id, trail_id, slot, digest, key, type, attestation_id, result_n, status, observed_at)
SELECT $1, h.trail_id, h.slot, h.digest, h.key, h.type, h.attestation_id, 1, h.status, h.observed_at
FROM unnest($21::uuid[], $22::text[], $23::text[], $24::text[], $25::text[], $26::uuid[], $27::text[],
            $28::timestamptz[])
  AS h(trail_id, slot, digest, key, type, attestation_id, status, observed_at)
ON CONFLICT (trail_id, slot, digest, key) DO UPDATE
SET type = excluded.type, attestation_id = excluded.attestation_id, result_n = excluded.result_n,
    status = excluded.status, observed_at = excluded.observed_at
WHERE (excluded.observed_at, excluded.attestation_id) > (slot_heads.observed_at, slot_heads.attestation_id)
"""


async def record_attestations(tx: Transaction, tenant: Tenant, new: Sequence[NewAttestation]) -> list[Attestation]:
    """Record what was found, and judge the trails it was found on; the answer is in the order of `new`.

    The trails are locked in the order of their ids, so that two reports which complete a trail see each other.
    Raises NotFound for an unknown trail: then nothing is recorded.
    """
    trails = await lock_trails(tx, tenant, [attestation.trail_id for attestation in new])
    return await record_on_trails(tx, tenant, trails, new)


async def record_on_trails(
    tx: Transaction, tenant: Tenant, trails: Sequence[LockedTrail], new: Sequence[NewAttestation]
) -> list[Attestation]:
    """The same on trails that are held already; all of them are judged."""
    rows = [_row(tx, tenant, attestation) for attestation in new]
    await tx.execute(
        _RECORD,
        tenant.org_id,
        tx.now,
        *columns_of([[row[column] for column in _WRITTEN] for row in rows], len(_WRITTEN)),
        *columns_of(_heads(rows, new), 8),
    )
    await raise_notices(tx, tenant, _notices(trails, rows))
    await refresh_status(tx, tenant, trails)
    events = [_event(attestation, row) for attestation, row in zip(new, rows, strict=True)]
    await append(tx, tenant, events, [("attestations", row["trail_id"]) for row in rows])
    return [Attestation(**{name: row[name] for name in Attestation.__dataclass_fields__}) for row in rows]


_WRITTEN = (
    "id",
    "trail_id",
    "type",
    "name",
    "slot",
    "digest",
    "git_commit",
    "origin",
    "source_id",
    "details",
    "description",
    "evidence_url",
    "user_data",
    "payload",
    "claimed_by",
    "reported_by",
    "observed_at",
    "status",
)
"""The columns that differ within a batch, in the order of the statement."""


def _row(tx: Transaction, tenant: Tenant, new: NewAttestation) -> dict[str, Any]:
    return {
        "id": tx.new_id(),
        "org_id": tenant.org_id,
        "trail_id": new.trail_id,
        "type": new.type,
        "name": new.name,
        "slot": new.slot,
        "digest": new.digest,
        "git_commit": new.git_commit,
        "origin": new.origin.value,
        "source_id": new.source_id,
        "details": new.details,
        "description": new.description,
        "evidence_url": new.evidence_url,
        "user_data": normalise(new.user_data),
        "payload": normalise(new.payload),
        "claimed_by": new.claimed_by,
        "reported_by": new.actor.principal_id,
        "observed_at": new.observed_at or tx.now,
        "created_at": tx.now,
        "status": new.status.value,
        "result_n": 1,
        "reason": None,
        "processor": None,
        "evidence": None,
    }


def _heads(rows: Sequence[Mapping[str, Any]], new: Sequence[NewAttestation]) -> list[tuple[Any, ...]]:
    """The newest of each key within the batch: a statement may touch a row but once."""
    newest: dict[tuple[UUID, str, str, str], tuple[Any, ...]] = {}
    for row, attestation in zip(rows, new, strict=True):
        key = (row["trail_id"], row["slot"] or "", row["digest"] or "", attestation.key)
        head = (*key, row["type"], row["id"], row["status"], row["observed_at"])
        if key not in newest or _recency(head) > _recency(newest[key]):
            newest[key] = head
    return [newest[key] for key in sorted(newest)]


def _recency(head: tuple[Any, ...]) -> tuple[Any, UUID]:
    return head[7], head[5]


def _notices(trails: Sequence[LockedTrail], rows: Sequence[Mapping[str, Any]]) -> list[Notice]:
    failed = [row for row in rows if row["status"] == ResultStatus.FAILED]
    flows = {trail.id: trail.flow_id for trail in trails} if failed else {}
    return [
        attestation_failed(
            row["id"], row["trail_id"], flows[row["trail_id"]], row["name"] or row["type"], row["details"]
        )
        for row in failed
    ]


def _event(new: NewAttestation, row: Mapping[str, Any]) -> Event:
    payload = {
        "attestationId": str(row["id"]),
        "trailId": str(row["trail_id"]),
        "type": row["type"],
        "status": row["status"],
        "name": row["name"],
    }
    name = AuditName.ATTESTATION_RECORDED
    return Event(name, new.actor, ATTESTATION, row, payload, trail_id=row["trail_id"], digest=row["digest"])
