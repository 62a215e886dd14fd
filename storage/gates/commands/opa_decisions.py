"""Keeping what OPA bundles decided."""

from collections.abc import Sequence
from typing import Any

from domain.audit.events import Actor, AuditName, Event
from domain.gates.opa import OPA_DECISION, OpaDecision, OpaOutcome
from domain.tenant import Tenant
from storage.audit.commands import append
from storage.batches import Batch, BatchInsert
from storage.database import Row, Transaction
from storage.gates.queries.opa_decisions import decision_of
from storage.gates.tables import opa_decisions

_KEEP = Batch(BatchInsert(opa_decisions, tuple(one.name for one in opa_decisions.columns)))


async def record_decisions(
    tx: Transaction, tenant: Tenant, outcomes: Sequence[OpaOutcome], actor: Actor
) -> list[OpaDecision]:
    """Keep outcomes, in their order, each with its audit event."""
    rows = [_row(tx, tenant, outcome, actor) for outcome in outcomes]
    await _KEEP.write(tx, {}, rows)
    await append(tx, tenant, [_event(row, actor) for row in rows])
    return [decision_of(row) for row in rows]


def _row(tx: Transaction, tenant: Tenant, outcome: OpaOutcome, actor: Actor) -> dict[str, Any]:
    return {
        "id": tx.new_id(),
        "org_id": tenant.org_id,
        "bundle_id": outcome.bundle_id,
        "bundle_name": outcome.name,
        "bundle_version": outcome.version,
        "bundle_sha256": outcome.sha256,
        "input": outcome.input,
        "input_digest": outcome.input_digest,
        "size": len(outcome.input.encode()),
        "allow": outcome.allow,
        "reasons": list(outcome.reasons),
        "evaluated_by": actor.principal_id,
        "created_at": tx.now,
    }


def _event(row: Row, actor: Actor) -> Event:
    payload = {
        "decisionId": str(row["id"]),
        "bundleId": str(row["bundle_id"]),
        "bundleName": row["bundle_name"],
        "bundleVersion": row["bundle_version"],
        "inputDigest": row["input_digest"],
        "allow": row["allow"],
        "reasons": row["reasons"],
    }
    return Event(AuditName.POLICY_EVALUATED, actor, OPA_DECISION, row, payload)
