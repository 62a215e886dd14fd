"""Recording attestations: one from the API, or hundreds from the drain."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from domain.audit.events import AuditName, Event
from domain.canonical import normalise
from domain.facts.attestations import Attestation, NewAttestation, ResultStatus
from domain.facts.records import ATTESTATION
from domain.notifications.triggers import Notice, attestation_failed
from domain.tenant import Tenant
from storage.audit.commands import append
from storage.batches import Batch, BatchInsert
from storage.database import Row, Transaction
from storage.facts.commands.status import LockedTrail, lock_trails, refresh_status
from storage.facts.tables import attestation_results, attestations, latest_results
from storage.notifications.commands.notices import raise_notices
from storage.rows import from_row

_NEWER = "(excluded.observed_at, excluded.attestation_id) > (latest_results.observed_at, latest_results.attestation_id)"
_REPLACED = ", ".join(
    f"{name} = CASE WHEN {_NEWER} THEN excluded.{name} ELSE latest_results.{name} END"
    for name in ("name", "type", "run", "attestation_id", "result_n", "status", "observed_at", "superseded")
)
_LATEST = BatchInsert(
    latest_results,
    ("trail_id", "slot", "digest", "identity", "name", "type", "run", "attestation_id", "status", "observed_at"),
    shared=("org_id", "result_n", "superseded"),
    conflict=f"""(trail_id, slot, digest, identity) DO UPDATE SET {_REPLACED}, earlier_runs = (
  SELECT array_agg(DISTINCT run ORDER BY run)
  FROM unnest(latest_results.earlier_runs || latest_results.run || excluded.run) AS run
  WHERE run IS DISTINCT FROM CASE WHEN {_NEWER} THEN excluded.run ELSE latest_results.run END AND run IS NOT NULL
)
WHERE {_NEWER} OR excluded.run IS DISTINCT FROM latest_results.run""",
)
"""An older result than the known one leaves only its run, so that the order of arrival does not matter."""

_RECORD = Batch(
    BatchInsert(
        attestations,
        (
            "id",
            "trail_id",
            "type",
            "name",
            "identity",
            "run",
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
        ),
        shared=("org_id", "created_at"),
    ),
    BatchInsert(attestation_results, ("attestation_id", "id", "status"), shared=("org_id", "created_at", "n")),
    _LATEST,
)
_FURTHER = Batch(_LATEST)


async def record_attestations(tx: Transaction, tenant: Tenant, new: Sequence[NewAttestation]) -> list[Attestation]:
    """Record attestations and judge their trails again; return the attestations in the order of `new`.

    The trails are locked, so that of two concurrent reports that complete a trail the second sees the first.
    Raises NotFound for an unknown trail; then nothing is recorded.
    """
    trails = await lock_trails(tx, tenant, [attestation.trail_id for attestation in new])
    return [_attestation(row) for row in await record_on_trails(tx, tenant, trails, new)]


async def record_on_trails(
    tx: Transaction, tenant: Tenant, trails: Sequence[LockedTrail], new: Sequence[NewAttestation]
) -> list[dict[str, Any]]:
    """Record attestations on trails that this transaction has locked, and judge all of these trails again.

    Returns the rows, because most callers need no attestations. Raises Invalid for a type that its origin cannot have.
    """
    for attestation in new:
        attestation.check_type()
    rows = [_row(tx, tenant, attestation) for attestation in new]
    shared = {"org_id": tenant.org_id, "created_at": tx.now, "n": 1, "result_n": 1, "superseded": False}
    first, *further = _latest(rows)
    await _RECORD.write(tx, shared, rows, rows, first)
    for latest in further:
        await _FURTHER.write(tx, shared, latest)
    await raise_notices(tx, tenant, _notices(trails, new, rows))
    await refresh_status(tx, tenant, trails)
    events = [_event(attestation, row) for attestation, row in zip(new, rows, strict=True)]
    await append(tx, tenant, events, [("attestations", row["trail_id"]) for row in rows])
    return rows


_attestation = from_row(Attestation)


def _row(tx: Transaction, tenant: Tenant, new: NewAttestation) -> dict[str, Any]:
    """Return the attestation with its first result, as it is written, sealed and returned."""
    attestation_id = tx.new_id()
    return {
        "id": attestation_id,
        "attestation_id": attestation_id,
        "org_id": tenant.org_id,
        "trail_id": new.trail_id,
        "type": new.type,
        "name": new.name,
        "identity": new.key,
        "run": new.run,
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


def _latest(rows: Sequence[Row]) -> list[list[dict[str, Any]]]:
    """Return the newest result of each identity and run in the batch, in one list unless an identity has several runs.

    ON CONFLICT DO UPDATE may not update a row twice, so a list has one result of each identity.
    """
    batches: list[dict[tuple[UUID, str, str, str], Row]] = [{}]
    for row in rows:
        place = row["trail_id"], row["slot"] or "", row["digest"] or "", row["identity"]
        batch = next((one for one in batches if place not in one or one[place]["run"] == row["run"]), None)
        if batch is None:
            batches.append({place: row})
        elif place not in batch or _recency(row) > _recency(batch[place]):
            batch[place] = row
    return [[_at(place, batch[place]) for place in sorted(batch)] for batch in batches]


def _at(place: tuple[UUID, str, str, str], row: Row) -> dict[str, Any]:
    return {**row, "slot": place[1], "digest": place[2], "name": row["name"] or None}


def _recency(row: Row) -> tuple[datetime, UUID]:
    return row["observed_at"], row["id"]


def _notices(trails: Sequence[LockedTrail], new: Sequence[NewAttestation], rows: Sequence[Row]) -> list[Notice]:
    failed = [
        row for one, row in zip(new, rows, strict=True) if one.is_noticed and row["status"] == ResultStatus.FAILED
    ]
    flows = {trail.id: trail.flow_id for trail in trails} if failed else {}
    return [
        attestation_failed(
            row["id"], row["trail_id"], flows[row["trail_id"]], row["name"] or row["type"], row["details"]
        )
        for row in failed
    ]


def _event(new: NewAttestation, row: Row) -> Event:
    payload = {
        "attestationId": str(row["id"]),
        "trailId": str(row["trail_id"]),
        "type": row["type"],
        "status": row["status"],
        "name": row["name"],
    }
    name = AuditName.ATTESTATION_RECORDED
    return Event(name, new.actor, ATTESTATION, row, payload, trail_id=row["trail_id"], digest=row["digest"])
