"""Setting the thresholds of flows."""

from collections.abc import Collection
from uuid import UUID

from domain.audit.events import Actor
from domain.gates.records import SECURITY_THRESHOLD
from domain.gates.security_thresholds import FlowThresholds, Thresholds
from domain.tenant import Tenant
from storage.database import Transaction
from storage.definitions import Definition
from storage.facts.queries.flows import get_flow
from storage.gates.queries.security_thresholds import find_thresholds, get_thresholds
from storage.gates.tables import security_threshold_versions, security_thresholds
from storage.rows import from_row, to_row

THRESHOLDS = Definition(
    "security threshold",
    SECURITY_THRESHOLD,
    security_thresholds,
    shown={
        "flowId": "flow_id",
        "maxCritical": "max_critical",
        "maxHigh": "max_high",
        "maxMedium": "max_medium",
        "maxLow": "max_low",
    },
    taken={},
    versions=security_threshold_versions,
)

_ONE_AT_A_TIME = "SELECT pg_advisory_xact_lock(7241009, hashtext($1))"
_thresholds = from_row(FlowThresholds)


async def set_thresholds(
    tx: Transaction, tenant: Tenant, flow_id: UUID, thresholds: Thresholds, actor: Actor
) -> FlowThresholds:
    """Create or replace the thresholds of a flow; of two at once, the second one replaces. Raises NotFound."""
    await get_flow(tx, tenant, flow_id)
    await tx.value(_ONE_AT_A_TIME, str(flow_id))
    known = await find_thresholds(tx, tenant, flow_id)
    values = to_row(thresholds)
    if known is None:
        return _thresholds(await THRESHOLDS.create(tx, tenant, actor, {"flow_id": flow_id, **values}))
    held = await THRESHOLDS.hold(tx, tenant, known.id)
    return _thresholds(await THRESHOLDS.change(tx, tenant, actor, held, values))


async def delete_thresholds(
    tx: Transaction, tenant: Tenant, flow_id: UUID, actor: Actor, *, expected: Collection[int] | None = None
) -> FlowThresholds:
    """Archive the thresholds of a flow and return them: the defaults hold again. Raises NotFound, Stale."""
    await tx.value(_ONE_AT_A_TIME, str(flow_id))
    known = await get_thresholds(tx, tenant, flow_id)
    held = await THRESHOLDS.hold(tx, tenant, known.id, expected)
    return _thresholds(await THRESHOLDS.archive(tx, tenant, actor, held))
