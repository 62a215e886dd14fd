"""Request and response models of the audit trail."""

import json
from typing import Annotated, Self
from uuid import UUID

from pydantic import Field

from api.http.calls import Call
from api.http.texts import Short
from api.http.wire import Instant, WireIn, WireModel, shows
from domain.audit.events import V1_NAMES, AuditName
from domain.errors import Invalid
from domain.facts.digests import normalise_digest
from storage.audit.queries import AuditEvent, AuditFilters
from storage.paging import Cursor, Page, Window

MAX_SIZE = 100


class AuditQuery(WireIn):
    """Filters of audit events. An event must match all of them, and one of several event types."""

    event_type: Annotated[
        list[str], Field(description="`ATTESTATION_RECORDED` or `attestation.recorded`; may be repeated")
    ] = []
    trail_id: UUID | None = None
    environment_id: UUID | None = None
    artifact_sha256: Annotated[Short | None, Field(description="64 hex digits, with or without `sha256:`")] = None
    actor: Annotated[Short | None, Field(description="A username: whoever has it, or had it last")] = None
    actor_id: Annotated[UUID | None, Field(description="The id of a user, a service account or another principal")] = (
        None
    )
    region: Short | None = None
    org_slug: Short | None = None
    since: Annotated[Instant | None, Field(alias="from", description="Earliest time, inclusive")] = None
    until: Annotated[Instant | None, Field(alias="to", description="Latest time, inclusive")] = None
    page: Annotated[int, Field(ge=0)] = 0
    size: Annotated[int, Field(ge=1, le=MAX_SIZE)] = 20
    sort_desc: bool = True
    after: Annotated[str | None, Field(max_length=200, description="Cursor from a Link header")] = None

    def window(self) -> Window:
        """Return the requested page. Raises Invalid for a malformed cursor."""
        return Window(self.size, self.page, Cursor.parse(self.after) if self.after else None, self.sort_desc)

    def to_filters(self) -> AuditFilters:
        """Return the filters. Raises Invalid for an unknown event type, and when `from` is later than `to`."""
        if self.since and self.until and self.since > self.until:
            raise Invalid.of("from", "is later than to")
        return AuditFilters(
            names=tuple(map(_audit_name, self.event_type)) or None,
            trail_id=self.trail_id,
            environment_id=self.environment_id,
            digest=None if self.artifact_sha256 is None else normalise_digest(self.artifact_sha256),
            actor=self.actor,
            actor_id=self.actor_id,
            region=self.region,
            since=self.since,
            until=self.until,
        )


def _audit_name(text: str) -> AuditName:
    name = V1_NAMES.get(text.upper().replace(".", "_").replace("-", "_"))
    if name is None:
        raise Invalid.of("eventType", f"must be one of {', '.join(sorted(V1_NAMES))}")
    return name


class AuditEventOut(WireModel):
    """An audit event. `payload` is JSON text, `null` once it is erased; `hash` is the event's leaf hash in hex.

    `actor` is the username of who acted, or the id once the person is erased. `subjectId` is the user or the service
    account that the event concerns. An erased person's name is `erased`.
    """

    id: UUID
    event_type: str
    environment_id: UUID | None
    trail_id: UUID | None
    artifact_sha256: str | None = shows("digest")
    actor: str
    actor_id: UUID
    actor_name: str
    actor_kind: str | None
    subject_id: UUID | None
    subject_name: str | None
    credential_id: UUID | None
    record_kind: str
    record_id: UUID
    record_version: int
    payload: str
    occurred_at: Instant
    region: str
    request_id: str | None
    hash: str

    @classmethod
    def of(cls, event: AuditEvent, _call: Call) -> Self:
        """Return the event in OpenFactstore's form."""
        payload = json.dumps(event.payload, ensure_ascii=False, separators=(",", ":"))
        return cls.filled(event, event_type=AuditName(event.name).v1, payload=payload, hash=event.leaf.hex())


class AuditPage(WireModel):
    """One page of audit events."""

    events: list[AuditEventOut]
    page: int
    size: int
    total_elements: int
    total_pages: int

    @classmethod
    def of(cls, page: Page[AuditEvent], call: Call) -> Self:
        """Return a page of events."""
        return cls(
            events=[AuditEventOut.of(event, call) for event in page.items],
            page=page.window.page,
            size=page.window.size,
            total_elements=page.total,
            total_pages=page.pages,
        )
