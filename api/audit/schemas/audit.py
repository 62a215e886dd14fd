"""The audit on the wire (facts.md 17.1)."""

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
    """Which events; what is given must all be so, of several event types one."""

    event_type: Annotated[
        list[str], Field(description="May be repeated. `ATTESTATION_RECORDED` or `attestation.recorded`")
    ] = []
    trail_id: UUID | None = None
    environment_id: UUID | None = None
    artifact_sha256: Annotated[Short | None, Field(description="64 hex digits, with or without `sha256:`")] = None
    actor: Short | None = None
    region: Short | None = None
    org_slug: Short | None = None
    since: Annotated[Instant | None, Field(alias="from", description="Not before, inclusive")] = None
    until: Annotated[Instant | None, Field(alias="to", description="Not after, inclusive")] = None
    page: Annotated[int, Field(ge=0)] = 0
    size: Annotated[int, Field(ge=1, le=MAX_SIZE)] = 20
    sort_desc: bool = True
    after: Annotated[str | None, Field(max_length=200, description="Cursor out of a Link header")] = None

    def window(self) -> Window:
        """The page that is asked for."""
        return Window(self.size, self.page, Cursor.parse(self.after) if self.after else None, self.sort_desc)

    def to_filters(self) -> AuditFilters:
        """Raises Invalid for an event type that does not exist and for a window of time that ends before it begins."""
        if self.since and self.until and self.since > self.until:
            raise Invalid.of("from", "lies after to")
        return AuditFilters(
            names=tuple(map(_audit_name, self.event_type)) or None,
            trail_id=self.trail_id,
            environment_id=self.environment_id,
            digest=None if self.artifact_sha256 is None else normalise_digest(self.artifact_sha256),
            actor=self.actor,
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
    """One audit event. `payload` is JSON text; `hash` is its leaf in the ledger, hex."""

    id: UUID
    event_type: str
    environment_id: UUID | None
    trail_id: UUID | None
    artifact_sha256: str | None = shows("digest")
    actor: str
    actor_id: UUID
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
        """In OpenFactstore's spelling."""
        payload = json.dumps(event.payload, ensure_ascii=False, separators=(",", ":"))
        return cls.filled(event, event_type=AuditName(event.name).v1, payload=payload, hash=event.leaf.hex())


class AuditPage(WireModel):
    """The audit's own page object."""

    events: list[AuditEventOut]
    page: int
    size: int
    total_elements: int
    total_pages: int

    @classmethod
    def of(cls, page: Page[AuditEvent], call: Call) -> Self:
        """A page of events."""
        return cls(
            events=[AuditEventOut.of(event, call) for event in page.items],
            page=page.window.page,
            size=page.window.size,
            total_elements=page.total,
            total_pages=page.pages,
        )
