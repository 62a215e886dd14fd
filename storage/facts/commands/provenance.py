"""Recording provenance, and each check of it as a separate fact. The caller does the checking."""

from dataclasses import dataclass, replace
from typing import Any

import asyncpg

from domain.audit.events import Actor, AuditName, Event
from domain.errors import Conflict
from domain.facts.provenance import Check, Provenance, ProvenanceClaim, ProvenanceFinding
from domain.facts.records import PROVENANCE, PROVENANCE_CHECK
from domain.tenant import Tenant
from storage.audit.commands import append
from storage.database import Row, Transaction
from storage.facts.queries.provenance import Subject, find_provenance
from storage.rows import insert


@dataclass(frozen=True, slots=True)
class NewProvenance:
    """A claim about an artifact, and the finding of its first check."""

    subject: Subject
    claim: ProvenanceClaim
    finding: ProvenanceFinding


async def record_provenance(tx: Transaction, tenant: Tenant, new: NewProvenance, actor: Actor) -> Provenance:
    """Record the provenance of an artifact, with the finding of its first check.

    Raises Conflict when provenance is recorded already, and when the key of the finding was deleted in the meantime.
    """
    await _hold_key(tx, tenant, new.finding)
    row, subject = _row(tx, tenant, new, actor), new.subject
    try:
        await insert(tx, "provenance", row)
    except asyncpg.UniqueViolationError as error:
        raise Conflict(f"Provenance of artifact {subject.report_id} is recorded already.") from error
    recorded = _event(AuditName.PROVENANCE_RECORDED, actor, row)
    check, checked = await _add_check(tx, row, 1, new.finding, actor)
    await append(tx, tenant, [recorded, checked])
    return Provenance(row["id"], subject.report_id, subject.trail_id, new.claim, tx.now, check)


async def record_check(
    tx: Transaction, tenant: Tenant, subject: Subject, finding: ProvenanceFinding, actor: Actor
) -> tuple[Provenance, bool]:
    """Add a check to recorded provenance, unless it repeats the newest one; also return whether it was added.

    Raises Conflict when no provenance is recorded, and when the key of the finding was deleted in the meantime.
    """
    await _hold_key(tx, tenant, finding)
    row = await tx.row(
        "SELECT * FROM provenance WHERE org_id = $1 AND report_id = $2 FOR NO KEY UPDATE",
        tenant.org_id,
        subject.report_id,
    )
    known = await find_provenance(tx, tenant, subject)
    if row is None or known is None:
        raise Conflict(f"No provenance is recorded for artifact {subject.report_id}.", kind="state")
    if known.check.repeats(finding):
        return known, False
    check, event = await _add_check(tx, row, known.check.n + 1, finding, actor)
    await append(tx, tenant, [event])
    return replace(known, check=check), True


_HOLD_KEY = "SELECT id FROM provenance_keys WHERE org_id = $1 AND id = $2 AND archived_at IS NULL FOR SHARE"


async def _hold_key(tx: Transaction, tenant: Tenant, finding: ProvenanceFinding) -> None:
    """Lock the key of a finding: the check was made before this transaction, and its key must still be valid."""
    if finding.key and not await tx.value(_HOLD_KEY, tenant.org_id, finding.key.id):
        raise Conflict(f"The provenance key '{finding.key.name}' was just deleted; try again.", kind="race")


def _row(tx: Transaction, tenant: Tenant, new: NewProvenance, actor: Actor) -> dict[str, Any]:
    subject, claim = new.subject, new.claim
    return {
        "id": tx.new_id(),
        "org_id": tenant.org_id,
        "report_id": subject.report_id,
        "trail_id": subject.trail_id,
        "digest": claim.digest,
        **claim.build.values(),
        "builder_type": claim.builder_type.value,
        "signature": claim.signature,
        "envelope": claim.envelope,
        "slsa_level": claim.slsa_level.value,
        "recorded_by": actor.principal_id,
        "created_at": tx.now,
    }


async def _add_check(
    tx: Transaction, provenance: Row, n: int, finding: ProvenanceFinding, actor: Actor
) -> tuple[Check, Event]:
    row = {
        "id": tx.new_id(),
        "org_id": provenance["org_id"],
        "provenance_id": provenance["id"],
        "n": n,
        "status": finding.status.value,
        "key_id": finding.key.id if finding.key else None,
        "predicate_type": finding.predicate_type,
        "reason": finding.reason,
        "checked_by": actor.principal_id,
        "created_at": tx.now,
    }
    await insert(tx, "provenance_checks", row)
    signer = finding.key.key_id if finding.key else None
    payload = {
        **_ids(provenance),
        "check": n,
        "status": finding.status.provenance_status.value,
        "reason": finding.reason,
        "keyId": signer,
    }
    name, trail_id, digest = AuditName.PROVENANCE_VERIFIED, provenance["trail_id"], provenance["digest"]
    event = Event(name, actor, PROVENANCE_CHECK, row, payload, trail_id=trail_id, digest=digest)
    return Check(n, finding.status, finding.reason, row["key_id"], signer, finding.predicate_type, tx.now), event


def _event(name: AuditName, actor: Actor, row: Row) -> Event:
    payload = {
        **_ids(row),
        "builderId": row["builder_id"],
        "builderType": row["builder_type"],
        "slsaLevel": row["slsa_level"],
    }
    return Event(name, actor, PROVENANCE, row, payload, trail_id=row["trail_id"], digest=row["digest"])


def _ids(provenance: Row) -> dict[str, Any]:
    return {
        "provenanceId": str(provenance["id"]),
        "artifactId": str(provenance["report_id"]),
        "trailId": str(provenance["trail_id"]),
    }
