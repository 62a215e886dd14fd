"""Handlers of the audit trail."""

from uuid import UUID

from api.audit.schemas.audit import AuditEventOut, AuditPage, AuditQuery
from api.http.calls import Call, Reply
from api.http.organisation import check_org_slug
from api.http.paging import ListQuery, list_headers, list_reply
from storage.audit import queries
from storage.facts.queries.trails import get_trail


async def list_audit_events(call: Call, query: AuditQuery) -> Reply[AuditPage]:
    """List the audit events, newest first.

    A filtered list is counted up to 10,000 events; if there are more, `X-Total-Count` ends in "+".
    """
    check_org_slug(call, query.org_slug)
    async with call.read() as reader:
        page = await queries.list_events(reader, call.tenant, query.to_filters(), query.window())
    return Reply(AuditPage.of(page, call), headers=list_headers(call.request, page))


async def get_audit_event(call: Call, event_id: UUID) -> AuditEventOut:
    """Get an audit event."""
    async with call.read() as reader:
        return AuditEventOut.of(await queries.get_event(reader, call.tenant, event_id), call)


async def list_trail_audit(call: Call, trail_id: UUID, query: ListQuery) -> Reply[list[AuditEventOut]]:
    """List the audit events of a trail, newest first."""
    async with call.read() as reader:
        await get_trail(reader, call.tenant, trail_id)
        page = await queries.list_events(
            reader, call.tenant, queries.AuditFilters(trail_id=trail_id), query.window(descending=True)
        )
    return list_reply(call, page, AuditEventOut)
