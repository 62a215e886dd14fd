"""Reading the audit."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from domain.audit.events import AuditName
from domain.errors import NotFound
from storage.audit.commands import NO_PARENT
from storage.counters import total
from storage.database import Reader
from storage.paging import Listing, Page, Window, capped_count, fetch_page, with_total
from storage.tenant import Tenant


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """One event as it is shown. `actor` is the principal's name, or its id once the person is erased."""

    id: UUID
    name: str
    actor_id: UUID
    actor: str
    credential_id: UUID | None
    record_kind: str
    record_id: UUID
    record_version: int
    trail_id: UUID | None
    environment_id: UUID | None
    digest: str | None
    payload: Mapping[str, Any] | None
    leaf: bytes
    occurred_at: datetime
    region: str
    request_id: str | None


_EVENTS = """
SELECT e.id, e.name, e.actor_id, coalesce(p.username, e.actor_id::text) AS actor, e.credential_id, e.record_kind,
       e.record_id, e.record_version, e.trail_id, e.environment_id, e.digest, e.payload, e.leaf, e.occurred_at,
       e.region, e.request_id
FROM audit_events e LEFT JOIN principals p ON p.id = e.actor_id AND p.erased_at IS NULL
"""
_LISTING = Listing(_EVENTS, "e.occurred_at", "e.id", lambda row: AuditEvent(**row))


@dataclass(frozen=True, slots=True)
class AuditFilters:
    """What an audit page may be narrowed to; times are inclusive."""

    names: Collection[AuditName] | None = None
    trail_id: UUID | None = None
    environment_id: UUID | None = None
    digest: str | None = None
    actor: str | None = None
    region: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def conditions(self, tenant: Tenant) -> tuple[list[str], list[Any]]:
        """As SQL over `audit_events e`."""
        parts = (
            ("e.trail_id = ${}", self.trail_id),
            ("e.environment_id = ${}", self.environment_id),
            ("e.digest = ${}", self.digest),
            ("e.actor_id = (SELECT id FROM principals WHERE username = ${})", self.actor),
            ("e.region = ${}", self.region),
            ("e.occurred_at >= ${}", self.since),
            ("e.occurred_at <= ${}", self.until),
        )
        conditions: list[str] = ["e.org_id = $1", *self._named()]
        args: list[Any] = [tenant.org_id]
        for condition, value in parts:
            if value is not None:
                args.append(value)
                conditions.append(condition.format(len(args)))
        return conditions, args

    def _named(self) -> list[str]:
        """As literals, which are words of our own: the planner must see whether they are rare."""
        words = ", ".join(f"'{name.value}'" for name in self.names or ())
        return [f"e.name IN ({words})"] if words else []


async def list_events(reader: Reader, tenant: Tenant, filters: AuditFilters, window: Window) -> Page[AuditEvent]:
    """Audit events by time. A total over filters stops counting at paging.MAX_DEPTH."""
    conditions, args = filters.conditions(tenant)
    page = await fetch_page(reader, _LISTING, conditions, args, window)
    if filters == AuditFilters():
        return with_total(page, await total(reader, tenant, "audit", NO_PARENT))
    count, capped = await capped_count(reader, "audit_events e", conditions, args)
    return with_total(page, count, capped=capped)


async def get_event(reader: Reader, tenant: Tenant, event_id: UUID) -> AuditEvent:
    """One event. Raises NotFound."""
    row = await reader.row(f"{_EVENTS} WHERE e.org_id = $1 AND e.id = $2", tenant.org_id, event_id)
    if row is None:
        raise NotFound(f"There is no audit event {event_id}.")
    return AuditEvent(**row)
