"""Recording security scans."""

from dataclasses import asdict
from uuid import UUID

from domain.audit.events import Actor, AuditName, Event
from domain.gates.records import SECURITY_SCAN
from domain.gates.security_scans import Judgement, NewScan, SecurityScan
from domain.tenant import Tenant
from storage.audit.commands import append
from storage.database import Row, Transaction
from storage.gates.queries.scan_summaries import day_of
from storage.gates.queries.security_scans import security_scan
from storage.rows import insert, to_row

_ADD_UP = """
INSERT INTO security_scan_days AS d (org_id, flow_id, day, tool, scans, critical, high, medium, low, with_critical)
VALUES ($1, $2, $3, $4, 1, $5::int, $6::int, $7::int, $8::int, ($5 > 0)::int)
ON CONFLICT (org_id, flow_id, day, tool) DO UPDATE
SET scans = d.scans + 1, critical = d.critical + excluded.critical, high = d.high + excluded.high,
    medium = d.medium + excluded.medium, low = d.low + excluded.low,
    with_critical = d.with_critical + excluded.with_critical
"""


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
    """Record a scan of a trail of this flow, with its judgement and the attestation that was recorded of it.

    Call it last: until the transaction ends, other scans of the flow by the same tool wait for the sum of their day.
    """
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
    counts = (row[name] for name in ("critical", "high", "medium", "low"))
    await tx.execute(_ADD_UP, tenant.org_id, flow_id, day_of(tx.now), new.tool, *counts)
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
