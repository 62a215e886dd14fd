"""Reading the inbox."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from domain.errors import NotFound
from storage.database import Reader
from storage.paging import Listing, Page, Window, capped_count, fetch_page, with_total
from storage.tenant import Tenant


@dataclass(frozen=True, slots=True)
class StoredDelivery:
    """A delivery with its raw bytes, as the drain reads it."""

    id: UUID
    org_id: UUID
    config_id: UUID
    source: str
    event: str | None
    received_at: datetime
    headers: Mapping[str, str]
    body: bytes


_LOAD = """
SELECT d.id, d.org_id, d.config_id, d.source, d.event, d.received_at, b.headers, b.body
FROM deliveries d JOIN inbox_bodies b ON b.id = d.body_id
WHERE d.id = ANY($1::uuid[])
ORDER BY d.received_at, d.id
"""


async def load(reader: Reader, delivery_ids: Sequence[UUID]) -> list[StoredDelivery]:
    """Deliveries in the order they came."""
    return [StoredDelivery(**row) for row in await reader.rows(_LOAD, delivery_ids)]


@dataclass(frozen=True, slots=True)
class DeliveryRow:
    """A delivery as people see it. `status` is PENDING, SUCCESS or FAILED; `duplicates` counts its copies."""

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


_DELIVERIES = f"SELECT {', '.join(DeliveryRow.__dataclass_fields__)} FROM deliveries"  # noqa: S608 - names of our own
_LISTING = Listing(_DELIVERIES, "received_at", "id", lambda row: DeliveryRow(**row))


async def get_delivery(reader: Reader, tenant: Tenant, receipt_id: UUID) -> DeliveryRow:
    """One delivery by its receipt. Raises NotFound, also for another organisation's."""
    row = await reader.row(f"{_DELIVERIES} WHERE org_id = $1 AND id = $2", tenant.org_id, receipt_id)
    if row is None:
        raise NotFound(f"There is no receipt {receipt_id}.")
    return DeliveryRow(**row)


async def list_deliveries(reader: Reader, tenant: Tenant, config_id: UUID, window: Window) -> Page[DeliveryRow]:
    """The deliveries of a webhook config, in the window's direction by arrival."""
    conditions, args = ["org_id = $1", "config_id = $2"], [tenant.org_id, config_id]
    page = await fetch_page(reader, _LISTING, conditions, args, window)
    count, capped = await capped_count(reader, "deliveries", conditions, args)
    return with_total(page, count, capped=capped)


async def dead_letters(reader: Reader, limit: int) -> list[DeliveryRow]:
    """Deliveries of all organisations that failed for good, oldest first."""
    rows = await reader.rows(f"{_DELIVERIES} WHERE status = 'FAILED' ORDER BY org_id, id LIMIT $1", limit)
    return [DeliveryRow(**row) for row in rows]


@dataclass(frozen=True, slots=True)
class Backlog:
    """How full the inbox is. `oldest` is when the first of them fell due."""

    waiting: int
    oldest: datetime | None


async def backlog(reader: Reader) -> Backlog:
    """The queue over all organisations."""
    row = await reader.row("SELECT count(*) AS waiting, min(due_at) AS oldest FROM inbox")
    return Backlog(**row) if row else Backlog(0, None)


async def queued(reader: Reader, limit: int) -> list[DeliveryRow]:
    """Deliveries of all organisations that wait or are being worked on, soonest first."""
    rows = await reader.rows(
        f"{_DELIVERIES} WHERE id IN (SELECT delivery_id FROM inbox ORDER BY due_at LIMIT $1) ORDER BY received_at, id",  # noqa: S608
        limit,
    )
    return [DeliveryRow(**row) for row in rows]
