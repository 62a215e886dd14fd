"""Attaching evidence to attestations, and auditing who downloads it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from domain.audit.events import Actor, AuditName, Event
from domain.errors import Conflict, NotFound
from domain.facts.evidence import Evidence, NewEvidence
from domain.facts.records import EVIDENCE
from domain.identity.quotas import FixedLimit, Quota
from domain.tenant import Tenant
from storage.audit.commands import append
from storage.blobs.commands import keep
from storage.blobs.store import Keeper
from storage.database import Transaction
from storage.facts.commands.status import lock_trails
from storage.identity.commands.quotas import charge
from storage.rows import insert, to_row

_FILES = """
SELECT (SELECT count(*) FROM evidence e WHERE e.org_id = a.org_id AND e.attestation_id = a.id) AS files
FROM attestations a WHERE a.org_id = $1 AND a.trail_id = $2 AND a.id = $3
"""


async def attach_file(
    tx: Transaction, tenant: Tenant, new: NewEvidence, staged: Path, blobs: Keeper, *, most: int
) -> Evidence:
    """Store a staged file as evidence and return its row.

    Raises NotFound if the trail has no such attestation, Conflict if the attestation already has `most` files, and
    TooLarge when the organisation's quota is exceeded; then the staged file is left in place.
    """
    evidence = await _attach(tx, tenant, new, most)
    await charge(tx, tenant, Quota.EVIDENCE_BYTES, new.size)
    await keep(tx, blobs, staged, new.digest, new.size)
    return evidence


async def attach_reference(tx: Transaction, tenant: Tenant, new: NewEvidence, *, most: int) -> Evidence:
    """Record evidence that is stored elsewhere. Raises NotFound and Conflict as `attach_file` does."""
    return await _attach(tx, tenant, new, most)


async def _attach(tx: Transaction, tenant: Tenant, new: NewEvidence, most: int) -> Evidence:
    """Insert the evidence, with the trail locked so that concurrent uploads cannot exceed the limit together."""
    await lock_trails(tx, tenant, [new.trail_id])
    files = await tx.value(_FILES, tenant.org_id, new.trail_id, new.attestation_id)
    if files is None:
        raise NotFound(f"There is no attestation {new.attestation_id} on trail {new.trail_id}.")
    if files >= most:
        raise Conflict(
            f"Attestation {new.attestation_id} has {files} evidence files, which is the maximum.",
            "state",
            limit=FixedLimit.EVIDENCE_FILES_PER_ATTESTATION,
        )
    evidence = Evidence(
        id=tx.new_id(),
        org_id=tenant.org_id,
        attestation_id=new.attestation_id,
        trail_id=new.trail_id,
        digest=new.digest,
        name=new.name,
        size=new.size,
        media_type=new.media_type,
        external_url=new.external_url,
        uploaded_by=new.actor.principal_id,
        created_at=tx.now,
    )
    await insert(tx, "evidence", to_row(evidence))
    event = _event(AuditName.EVIDENCE_UPLOADED, new.actor, evidence, {"externalUrl": evidence.external_url})
    await append(tx, tenant, [event], [("evidence", evidence.trail_id)])
    return evidence


async def note_access(tx: Transaction, tenant: Tenant, evidence: Evidence, actor: Actor, *, part: str | None) -> None:
    """Audit a download of a file; `part` is the range (`bytes 0-99/100`) of a partial download."""
    event = _event(AuditName.EVIDENCE_ACCESSED, actor, evidence, {"contentRange": part})
    await append(tx, tenant, [event])


def _event(name: AuditName, actor: Actor, evidence: Evidence, further: Mapping[str, Any]) -> Event:
    payload = {
        "evidenceId": str(evidence.id),
        "attestationId": str(evidence.attestation_id),
        "trailId": str(evidence.trail_id),
        "fileName": evidence.name,
        "sha256Hash": evidence.digest.removeprefix("sha256:"),
        "fileSizeBytes": evidence.size,
        **further,
    }
    record = to_row(evidence)
    return Event(name, actor, EVIDENCE, record, payload, trail_id=evidence.trail_id, digest=evidence.digest)
