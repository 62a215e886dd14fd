"""Audit denied writes: the first of each hour, so that a flood of them neither fills the ledger nor slows it.

All denials are counted by reason (`trailgate_denied_total`), those of reads and of unknown callers as well.
"""

from collections import Counter
from collections.abc import AsyncIterator, Hashable
from datetime import datetime, timedelta

from aiohttp import web

from api.http.binding import OPERATION
from api.http.calls import Call
from domain.audit.events import AuditName, Event
from domain.errors import Denial
from domain.identity.permissions import Permission
from domain.identity.records import DENIAL
from storage.audit.commands import append

READS = frozenset({"GET", "HEAD"})

AUDITED_PER_ROUTE = 5
"""Denials of one credential at one route that are audited in an hour, by each API process."""
AUDITED_PER_ORGANISATION = 500
"""Denials in one organisation that are audited in an hour, by each API process: it may have many credentials."""

_HOUR = timedelta(hours=1)


class AuditedDenials:
    """How many denials were audited in the current hour of the clock. Only what is audited takes memory."""

    def __init__(self) -> None:
        self._counts = Counter[Hashable]()
        self._ends: datetime | None = None

    def take(self, organisation: Hashable, credential: Hashable, route: str, now: datetime) -> int:
        """Count a denial as audited, and return how many more may be; -1, and count nothing, if it may not be."""
        if self._ends is None or now >= self._ends:
            self._counts.clear()
            self._ends = now.replace(minute=0, second=0, microsecond=0) + _HOUR
        at_route = (organisation, credential, route)
        left = min(AUDITED_PER_ROUTE - self._counts[at_route], AUDITED_PER_ORGANISATION - self._counts[organisation])
        if left > 0:
            self._counts.update((at_route, organisation))
        return left - 1


AUDITED: web.AppKey[AuditedDenials] = web.AppKey("audited_denials", AuditedDenials)


async def audited_denials(app: web.Application) -> AsyncIterator[None]:
    """Provide `AUDITED` while the application serves."""
    app[AUDITED] = AuditedDenials()
    yield


async def audit_denial(call: Call, permission: Permission, reason: Denial) -> None:
    """Append an audit event for a denied write, unless there were many in this hour. Denied reads are only counted."""
    request, caller = call.request, call.caller
    if request.method in READS:
        return
    route, database = request[OPERATION], call.services.database
    credential = caller.credential_id or caller.id
    left = request.app[AUDITED].take(caller.org_id, credential, route, call.services.clock.now())
    if left < 0:
        return
    resource = request.match_info.route.resource
    payload = {
        "reason": reason.value,
        "permission": permission.value,
        "method": request.method,
        "operation": route,
        "path": resource.canonical if resource else None,
        "furtherOnesAreOnlyCounted": left == 0,
    }
    async with database.transaction() as tx:
        event = Event(AuditName.ACCESS_DENIED, call.actor, DENIAL, {"id": tx.new_id()}, payload)
        await append(tx, call.tenant, [event])
