"""A write that was refused leaves a trace (ARCHITECTURE.md 4.2)."""

from aiohttp import web

from api.authentication import actor_of, scope_of
from api.calls import REQUEST_ID, SERVICES
from domain.audit import AuditName, Event
from domain.identity.records import DENIAL
from domain.permissions import Permission, Principal
from storage.audit.commands import append

READS = frozenset({"GET", "HEAD"})


async def audit_denial(request: web.Request, principal: Principal, permission: Permission) -> None:
    """Write down who was refused what. Reads are only counted."""
    if request.method in READS:
        return
    actor = actor_of(request, principal, request[REQUEST_ID])
    payload = {"permission": permission.value, "method": request.method}
    async with request.app[SERVICES].database.transaction() as tx:
        event = Event(AuditName.ACCESS_DENIED, actor, DENIAL, {"id": tx.new_id()}, payload)
        await append(tx, scope_of(principal), [event])
