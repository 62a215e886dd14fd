"""Reading the thresholds of flows."""

from uuid import UUID

from domain.errors import NotFound
from domain.gates.security_thresholds import FlowThresholds
from domain.tenant import Tenant
from storage.database import Reader
from storage.facts.queries.flows import get_flow
from storage.rows import from_row

_thresholds = from_row(FlowThresholds)
_OF_FLOW = """
SELECT t.id, t.org_id, t.flow_id, t.version, v.max_critical, v.max_high, v.max_medium, v.max_low, t.created_at,
       t.updated_at
FROM security_thresholds t
JOIN security_threshold_versions v ON v.security_threshold_id = t.id AND v.version = t.version
WHERE t.org_id = $1 AND t.flow_id = $2 AND t.archived_at IS NULL
"""


async def get_thresholds(reader: Reader, tenant: Tenant, flow_id: UUID) -> FlowThresholds:
    """Return the thresholds of a flow. Raises NotFound for the flow, and if it has none."""
    await get_flow(reader, tenant, flow_id)
    found = await find_thresholds(reader, tenant, flow_id)
    if found is None:
        raise NotFound(f"The flow {flow_id} has no security thresholds of its own.")
    return found


async def find_thresholds(reader: Reader, tenant: Tenant, flow_id: UUID) -> FlowThresholds | None:
    """Return the thresholds of a flow that is known to be there, None if it has none."""
    row = await reader.row(_OF_FLOW, tenant.org_id, flow_id)
    return _thresholds(row) if row else None
