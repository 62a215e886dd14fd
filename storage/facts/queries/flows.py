"""Reading flows."""

from typing import Any
from uuid import UUID

from domain.errors import NotFound
from domain.facts.flows import Flow
from storage.audit.commands import NO_PARENT
from storage.counters import total
from storage.database import Reader
from storage.paging import Listing, Page, Window, capped_count, fetch_page, with_total
from storage.tenant import Tenant

_FLOWS = """
SELECT f.id, f.org_id, f.name, f.version, v.description, v.required_types, v.tags, v.requires_approval,
       v.required_approver_roles, v.visibility, v.template_text, f.created_at, f.updated_at
FROM flows f JOIN flow_versions v ON v.flow_id = f.id AND v.version = f.version
"""
_LISTING = Listing(_FLOWS, "f.created_at", "f.id", lambda row: Flow(**row))


async def get_flow(reader: Reader, tenant: Tenant, flow_id: UUID) -> Flow:
    """One flow. Raises NotFound, also for another organisation's."""
    row = await reader.row(
        f"{_FLOWS} WHERE f.org_id = $1 AND f.id = $2 AND f.archived_at IS NULL", tenant.org_id, flow_id
    )
    if row is None:
        raise NotFound(f"There is no flow {flow_id}.")
    return Flow(**row)


async def list_flows(reader: Reader, tenant: Tenant, window: Window, *, name: str | None = None) -> Page[Flow]:
    """The organisation's flows, oldest first; of one name there is one at most."""
    conditions: list[str] = ["f.org_id = $1", "f.archived_at IS NULL"]
    args: list[Any] = [tenant.org_id]
    if name is not None:
        conditions.append("f.name = $2")
        args.append(name)
    page = await fetch_page(reader, _LISTING, conditions, args, window)
    if name is None:
        return with_total(page, await total(reader, tenant, "flows", NO_PARENT))
    return with_total(page, (await capped_count(reader, "flows f", conditions, args))[0])
