"""Reading flows."""

from uuid import UUID

from domain.errors import NotFound
from domain.facts.flows import Flow
from storage.audit.commands import NO_PARENT
from storage.counters import total
from storage.database import Reader
from storage.paging import Listing, Page, Window, fetch_page, with_total
from storage.scope import Scope

_FLOWS = """
SELECT f.id, f.org_id, f.name, f.version, v.description, v.required_types, v.tags, v.requires_approval,
       v.required_approver_roles, v.visibility, v.template_text, f.created_at, f.updated_at
FROM flows f JOIN flow_versions v ON v.flow_id = f.id AND v.version = f.version
"""
_LISTING = Listing(_FLOWS, "f.created_at", "f.id", lambda row: Flow(**row))


async def get_flow(reader: Reader, scope: Scope, flow_id: UUID) -> Flow:
    """One flow. Raises NotFound, also for another organisation's."""
    row = await reader.row(
        f"{_FLOWS} WHERE f.org_id = $1 AND f.id = $2 AND f.archived_at IS NULL", scope.org_id, flow_id
    )
    if row is None:
        raise NotFound(f"There is no flow {flow_id}.")
    return Flow(**row)


async def list_flows(reader: Reader, scope: Scope, window: Window) -> Page[Flow]:
    """The organisation's flows, oldest first."""
    page = await fetch_page(reader, _LISTING, ["f.org_id = $1", "f.archived_at IS NULL"], [scope.org_id], window)
    return with_total(page, await total(reader, scope, "flows", NO_PARENT))
