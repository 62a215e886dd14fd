"""Reading flows."""

from collections.abc import Collection, Mapping
from uuid import UUID

from domain.facts.flows import Flow
from domain.tenant import Tenant
from storage.counters import NO_PARENT
from storage.database import Reader
from storage.facts.queries.scoping import flow_limits
from storage.paging import Listing, Page, Window
from storage.rows import from_row

_FLOWS = Listing(
    "flow",
    "f.id, f.org_id, f.name, f.version, v.description, v.required_types, v.tags, v.requires_approval, "
    "v.required_approver_roles, v.visibility, v.template_text, f.created_at, f.updated_at",
    "flows f JOIN flow_versions v ON v.flow_id = f.id AND v.version = f.version",
    from_row(Flow),
    alias="f.",
    archivable=True,
    counted="flows f",
    limits=flow_limits,
)


async def get_flow(reader: Reader, tenant: Tenant, flow_id: UUID) -> Flow:
    """Return one flow. Raises NotFound, also if it is archived or belongs to another organisation."""
    return await _FLOWS.get(reader, tenant, flow_id)


async def list_flows(reader: Reader, tenant: Tenant, window: Window, *, name: str | None = None) -> Page[Flow]:
    """List the organisation's flows, oldest first; a name matches one flow at most."""
    return await _FLOWS.page(reader, tenant, window, filters={"f.name = {}": name}, counter=("flows", NO_PARENT))


async def flow_names(reader: Reader, tenant: Tenant, flow_ids: Collection[UUID]) -> Mapping[UUID, str]:
    """Return the names of flows by id, also of archived ones, whatever the tenant's scopes."""
    sql = "SELECT id, name FROM flows WHERE org_id = $1 AND id = ANY($2::uuid[])"
    return {row["id"]: row["name"] for row in await reader.rows(sql, tenant.org_id, list(flow_ids))}
