"""The audit (facts.md 17.1)."""

from uuid import UUID

from api.authentication import scope_of
from api.calls import Call, Reply
from api.facts.organisation import check_org_slug
from api.facts.schemas.audit import AuditEventOut, AuditPage, AuditQuery
from api.facts.schemas.paging import list_headers
from storage.audit import queries


async def list_audit_events(call: Call, query: AuditQuery) -> Reply[AuditPage]:
    """List audit events, newest first.

    A filtered total stops at 10,000; X-Total-Count then ends in "+".
    """
    check_org_slug(call, query.org_slug)
    async with call.services.database.read() as reader:
        page = await queries.list_events(reader, scope_of(call.caller), query.filters(), query.window())
    return Reply(AuditPage.of(page), headers=list_headers(call.request, page))


async def get_audit_event(call: Call, event_id: UUID) -> AuditEventOut:
    """Read one audit event."""
    async with call.services.database.read() as reader:
        return AuditEventOut.of(await queries.get_event(reader, scope_of(call.caller), event_id))
