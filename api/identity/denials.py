"""Audit denied writes."""

from api.http.calls import Call
from domain.audit.events import AuditName, Event
from domain.identity.permissions import Permission
from domain.identity.records import DENIAL
from storage.audit.commands import append

READS = frozenset({"GET", "HEAD"})


async def audit_denial(call: Call, permission: Permission) -> None:
    """Append an audit event for a write without the permission. Denied reads are only counted."""
    if call.request.method in READS:
        return
    payload = {"permission": permission.value, "method": call.request.method}
    async with call.services.database.transaction() as tx:
        event = Event(AuditName.ACCESS_DENIED, call.actor, DENIAL, {"id": tx.new_id()}, payload)
        await append(tx, call.tenant, [event])
