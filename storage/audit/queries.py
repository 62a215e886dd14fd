"""Reading the audit."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from domain.audit.events import AuditName
from domain.identity.records import API_KEY, INVITATION, MEMBERSHIP, PRINCIPAL, SESSION, WORKLOAD_IDENTITY
from domain.tenant import Tenant
from storage.counters import NO_PARENT
from storage.database import Reader
from storage.paging import Listing, Page, Window
from storage.rows import from_row


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """One event as shown to people.

    `actor` is the principal's username, or its id once the person is erased; `actor_name` is its display name.
    `subject_id` is the principal that an event of identity concerns: a user, a member, the owner of a key. The name of
    an erased person is `ERASED`.
    """

    id: UUID
    name: str
    actor_id: UUID
    actor: str
    actor_name: str
    actor_kind: str | None
    subject_id: UUID | None
    subject_name: str | None
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


ERASED = "erased"
"""In place of the name of an erased person."""


def _name(principal: str) -> str:
    shown = f"coalesce({principal}.name, {principal}.username)"
    return f"CASE WHEN {principal}.erased_at IS NULL THEN {shown} ELSE '{ERASED}' END"


_SUBJECT = f"""CASE e.record_kind
WHEN '{PRINCIPAL.kind}' THEN e.record_id
WHEN '{MEMBERSHIP.kind}' THEN (SELECT m.principal_id FROM memberships m WHERE m.id = e.record_id)
WHEN '{API_KEY.kind}' THEN (SELECT k.principal_id FROM api_keys k WHERE k.id = e.record_id)
WHEN '{SESSION.kind}' THEN (SELECT s.principal_id FROM sessions s WHERE s.id = e.record_id)
WHEN '{INVITATION.kind}' THEN (SELECT i.accepted_by FROM invitations i WHERE i.id = e.record_id)
WHEN '{WORKLOAD_IDENTITY.kind}' THEN (SELECT w.principal_id FROM workload_identities w WHERE w.id = e.record_id)
END"""
"""The id of the principal that an event concerns, also when its payload is erased."""

_EVENTS = Listing(
    "audit event",
    "e.id, e.name, e.actor_id, coalesce(CASE WHEN p.erased_at IS NULL THEN p.username END, e.actor_id::text) AS actor, "
    f"coalesce({_name('p')}, e.actor_id::text) AS actor_name, p.kind AS actor_kind, "
    f"s.id AS subject_id, {_name('s')} AS subject_name, "
    "e.credential_id, e.record_kind, e.record_id, e.record_version, e.trail_id, e.environment_id, e.digest, e.payload, "
    "e.leaf, e.occurred_at, e.region, e.request_id",
    f"audit_events e LEFT JOIN principals p ON p.id = e.actor_id LEFT JOIN principals s ON s.id = ({_SUBJECT})",
    from_row(AuditEvent),
    alias="e.",
    time="occurred_at",
    counted="audit_events e",
)


_NAMED = "SELECT id FROM principals WHERE username = {} ORDER BY archived_at DESC NULLS FIRST LIMIT 1"
"""The principal of that name, or who had it last."""


@dataclass(frozen=True, slots=True)
class AuditFilters:
    """Filters of a list of audit events; times are inclusive."""

    names: Collection[AuditName] | None = None
    trail_id: UUID | None = None
    environment_id: UUID | None = None
    digest: str | None = None
    actor: str | None = None
    actor_id: UUID | None = None
    region: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    @property
    def conditions(self) -> dict[str, Any]:
        """The filters as SQL conditions over `audit_events e` with their values; None is no filter."""
        return {
            "e.trail_id = {}": self.trail_id,
            "e.environment_id = {}": self.environment_id,
            "e.digest = {}": self.digest,
            f"e.actor_id = ({_NAMED})": self.actor,
            "e.actor_id = {}": self.actor_id,
            "e.region = {}": self.region,
            "e.occurred_at >= {}": self.since,
            "e.occurred_at <= {}": self.until,
            **self._named(),
        }

    def _named(self) -> dict[str, Any]:
        """Return the names as SQL literals, which are trusted: the planner must see whether they are rare."""
        words = ", ".join(f"'{name.value}'" for name in self.names or ())
        return {f"e.name IN ({words})": True} if words else {}


async def list_events(reader: Reader, tenant: Tenant, filters: AuditFilters, window: Window) -> Page[AuditEvent]:
    """List audit events by time. With filters, the total is counted up to paging.MAX_DEPTH."""
    return await _EVENTS.page(reader, tenant, window, filters=filters.conditions, counter=("audit", NO_PARENT))


async def get_event(reader: Reader, tenant: Tenant, event_id: UUID) -> AuditEvent:
    """Return one event. Raises NotFound."""
    return await _EVENTS.get(reader, tenant, event_id)
