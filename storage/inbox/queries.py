"""Reading the inbox."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from domain.tenant import Tenant
from storage.authenticator import Authenticator
from storage.database import Reader
from storage.inbox.codes import is_authentic
from storage.paging import Listing, Page, Window
from storage.rows import from_row


@dataclass(frozen=True, slots=True)
class StoredDelivery:
    """A delivery with its raw body, for the drain. `authentic`: this installation accepted it so."""

    id: UUID
    org_id: UUID
    config_id: UUID
    source: str
    event: str | None
    received_at: datetime
    headers: Mapping[str, str]
    body: bytes
    authentic: bool


_LOAD = """
SELECT d.id, d.org_id, d.config_id, d.source, d.identity, d.event, d.body_id, d.body_sha256,
       least(d.received_at, b.accepted_at) AS received_at, b.headers, b.body, b.accepted_at, b.mac
FROM deliveries d
CROSS JOIN LATERAL (SELECT headers, body, accepted_at, mac FROM inbox_bodies WHERE id = d.body_id OFFSET 0) b
WHERE d.id = ANY($1::uuid[])
ORDER BY d.received_at, d.id
"""
"""The code of a delivery covers when its body was accepted, so a result never counts as newer than that."""


_stored = from_row(StoredDelivery)


async def load(reader: Reader, authenticator: Authenticator, delivery_ids: Sequence[UUID]) -> list[StoredDelivery]:
    """Return deliveries with their bodies, in the order of arrival; those whose body was removed are left out."""
    rows = await reader.rows(_LOAD, delivery_ids)
    return [_stored({**row, "authentic": is_authentic(row, authenticator)}) for row in rows]


@dataclass(frozen=True, slots=True)
class DeliveryRow:
    """A delivery as shown to people. `status` is PENDING, SUCCESS or FAILED; `duplicates` counts repeated copies."""

    id: UUID
    org_id: UUID
    config_id: UUID
    source: str
    delivery_id: str
    event: str | None
    event_type: str | None
    status: str
    status_message: str | None
    error: str | None
    body_sha256: bytes
    duplicates: int
    trail_id: UUID | None
    received_at: datetime
    processed_at: datetime | None


_DELIVERIES = Listing.plain(DeliveryRow, "deliveries", "receipt", time="received_at")


async def get_delivery(reader: Reader, tenant: Tenant, receipt_id: UUID) -> DeliveryRow:
    """Return one delivery by its receipt. Raises NotFound, also for another organisation's."""
    return await _DELIVERIES.get(reader, tenant, receipt_id)


async def list_deliveries(reader: Reader, tenant: Tenant, config_id: UUID, window: Window) -> Page[DeliveryRow]:
    """List the deliveries of a webhook config by arrival, in the direction of the window."""
    return await _DELIVERIES.page(reader, tenant, window, within={"config_id = {}": config_id})


async def dead_letters(reader: Reader, limit: int) -> list[DeliveryRow]:
    """Return dead letters of all organisations, oldest first within each organisation."""
    rows = await reader.rows(f"{_DELIVERIES.select} WHERE status = 'FAILED' ORDER BY org_id, id LIMIT $1", limit)
    return [_DELIVERIES.make(row) for row in rows]


@dataclass(frozen=True, slots=True)
class Backlog:
    """The depth of the inbox. `oldest` is the earliest due time."""

    waiting: int
    oldest: datetime | None


async def backlog(reader: Reader) -> Backlog:
    """Return the depth of the inbox over all organisations."""
    row = await reader.row("SELECT count(*) AS waiting, min(due_at) AS oldest FROM inbox")
    return Backlog(**row) if row else Backlog(0, None)


async def queued(reader: Reader, limit: int) -> list[DeliveryRow]:
    """Return the deliveries of all organisations that are due soonest, waiting or leased, in the order of arrival."""
    rows = await reader.rows(
        f"{_DELIVERIES.select} WHERE id IN (SELECT delivery_id FROM inbox ORDER BY due_at LIMIT $1) "
        "ORDER BY received_at, id",
        limit,
    )
    return [_DELIVERIES.make(row) for row in rows]
