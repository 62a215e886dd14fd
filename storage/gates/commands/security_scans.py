"""Recording security scans."""

from dataclasses import asdict
from uuid import UUID

from domain.audit.events import Actor, AuditName, Event
from domain.gates.records import SECURITY_SCAN
from domain.gates.security_scans import Judgement, NewScan, SecurityScan
from domain.tenant import Tenant
from storage.audit.commands import append
from storage.database import Row, Transaction
from storage.gates.queries.security_scans import security_scan
from storage.rows import insert, to_row


async def record_scan(
    tx: Transaction,
    tenant: Tenant,
    new: NewScan,
    judgement: Judgement,
    *,
    flow_id: UUID,
    attestation_id: UUID,
    actor: Actor,
) -> SecurityScan:
    """Record a scan of a trail of this flow, with its judgement and the attestation that was recorded of it."""
    row = {
        "id": tx.new_id(),
        "org_id": tenant.org_id,
        "trail_id": new.trail_id,
        "flow_id": flow_id,
        "attestation_id": attestation_id,
        "tool": new.tool,
        "tool_version": new.tool_version,
        "scan_type": new.scan_type,
        "target": new.target,
        "digest": new.digest,
        **asdict(new.counts),
        "duration_seconds": new.duration_seconds,
        "report_url": new.report_url,
        "report": new.report.to_json() if new.report else None,
        "thresholds": to_row(judgement.thresholds),
        "threshold_id": judgement.source.id if judgement.source else None,
        "threshold_version": judgement.source.version if judgement.source else None,
        "passed": judgement.passed,
        "breach_details": list(judgement.breaches),
        "reason": judgement.reason,
        "source_ref": new.source_ref,
        "recorded_by": actor.principal_id,
        "created_at": tx.now,
    }
    await insert(tx, "security_scans", row)
    await append(tx, tenant, [_event(row, actor)])
    return security_scan(row)


def _event(row: Row, actor: Actor) -> Event:
    payload = {
        "scanId": str(row["id"]),
        "trailId": str(row["trail_id"]),
        "attestationId": str(row["attestation_id"]),
        "tool": row["tool"],
        "target": row["target"],
        "passed": row["passed"],
        "breachDetails": row["breach_details"],
    }
    name = AuditName.SECURITY_SCAN_RECORDED
    return Event(name, actor, SECURITY_SCAN, row, payload, trail_id=row["trail_id"], digest=row["digest"])
