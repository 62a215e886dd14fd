"""In-app notifications: assigning their numbers, and recording who has read them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from domain.notifications.inapp import MAX_ENTITY_TYPE, MAX_TITLE, Notification
from domain.notifications.triggers import Severity
from domain.tenant import Tenant
from storage.batches import Rows
from storage.database import Transaction
from storage.notifications.queries.inapp import get_notification
from storage.notifications.tables import notifications


@dataclass(frozen=True, slots=True)
class NewNotification:
    """A notification for everybody in the organisation. A repeated `message_id` gets no second notification."""

    title: str
    message: str
    severity: Severity
    entity_type: str | None = None
    entity_id: UUID | None = None
    message_id: UUID | None = None


_HOLD_STREAM = """
INSERT INTO notification_streams AS s (org_id, first_n, last_n) VALUES ($1, 1, 0)
ON CONFLICT (org_id) DO UPDATE SET last_n = s.last_n
RETURNING last_n
"""
_NEW = Rows.of(notifications, "id", "severity", "message_id", "title", "message", "entity_type", "entity_id")
_NOTIFY = f"""
WITH known AS (
  SELECT message_id FROM notifications WHERE message_id = ANY($4::uuid[])
), new AS (
  SELECT m.*, row_number() OVER (ORDER BY place) AS nth
  FROM (
    SELECT DISTINCT ON (coalesce(message_id, id)) *, id AS place
    FROM {_NEW.source("u", 5)}
    ORDER BY coalesce(message_id, id), id
  ) m
  WHERE NOT EXISTS (SELECT FROM known WHERE known.message_id = m.message_id)
), kept AS (
  INSERT INTO notifications (id, org_id, n, message_id, title, message, severity, entity_type, entity_id, created_at)
  SELECT id, $1, $3 + nth, message_id, title, message, severity, entity_type, entity_id, $2 FROM new
  RETURNING n
)
UPDATE notification_streams s SET last_n = newest.n
FROM (SELECT max(n) AS n, count(*) AS kept FROM kept) AS newest
WHERE s.org_id = $1 AND newest.n IS NOT NULL
RETURNING newest.kept
"""


async def notify(tx: Transaction, tenant: Tenant, new: Sequence[NewNotification]) -> int:
    """Append notifications to the organisation's stream, in this order; return how many were new.

    The stream is locked until the transaction ends, so that numbers become visible in order. A message that already
    has a notification is skipped. Call `announce` after the commit to wake the clients that stream notifications.
    """
    if not new:
        return 0
    last_n = await tx.value(_HOLD_STREAM, tenant.org_id)
    rows = [
        {
            "id": tx.new_id(),
            "severity": one.severity.value,
            "message_id": one.message_id,
            "title": one.title[:MAX_TITLE],
            "message": one.message,
            "entity_type": one.entity_type and one.entity_type[:MAX_ENTITY_TYPE],
            "entity_id": one.entity_id,
        }
        for one in new
    ]
    known = [one.message_id for one in new if one.message_id]
    return await tx.value(_NOTIFY, tenant.org_id, tx.now, last_n, known, *_NEW.arrays(rows)) or 0


_HOLD_READER = """
INSERT INTO notification_readers AS r (org_id, principal_id, read_to)
SELECT $1, $2, first_n - 1 FROM notification_streams WHERE org_id = $1
ON CONFLICT (org_id, principal_id) DO UPDATE SET read_to = greatest(r.read_to, excluded.read_to)
RETURNING read_to
"""
_MARK = "INSERT INTO notification_reads (org_id, principal_id, n) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING"
_FOLD = """
WITH run AS (
  SELECT max(n) AS last FROM (
    SELECT n, row_number() OVER (ORDER BY n) AS place
    FROM notification_reads WHERE org_id = $1 AND principal_id = $2 AND n > $3
  ) AS beyond
  WHERE n = $3 + place
), moved AS (
  UPDATE notification_readers SET read_to = run.last FROM run
  WHERE org_id = $1 AND principal_id = $2 AND run.last IS NOT NULL
)
DELETE FROM notification_reads USING run WHERE org_id = $1 AND principal_id = $2 AND n <= run.last
"""


async def mark_read(tx: Transaction, tenant: Tenant, principal_id: UUID, notification_id: UUID) -> Notification:
    """Mark one notification as read by a person; repeating it is no error. Raises NotFound.

    Marks that follow `read_to` without a gap are merged into it, so that few marks are stored.
    """
    notification = await get_notification(tx, tenant, principal_id, notification_id)
    read_to = await tx.value(_HOLD_READER, tenant.org_id, principal_id)
    if notification.n > read_to:
        await tx.execute(_MARK, tenant.org_id, principal_id, notification.n)
        await tx.execute(_FOLD, tenant.org_id, principal_id, read_to)
    return replace(notification, is_read=True)


_READ_ALL = """
INSERT INTO notification_readers AS r (org_id, principal_id, read_to)
SELECT $1, $2, last_n FROM notification_streams WHERE org_id = $1
ON CONFLICT (org_id, principal_id) DO UPDATE SET read_to = greatest(r.read_to, excluded.read_to)
RETURNING read_to
"""
_FORGET_MARKS = "DELETE FROM notification_reads WHERE org_id = $1 AND principal_id = $2 AND n <= $3"


async def mark_all_read(tx: Transaction, tenant: Tenant, principal_id: UUID) -> None:
    """Mark all current notifications as read by a person."""
    read_to = await tx.value(_READ_ALL, tenant.org_id, principal_id)
    await tx.execute(_FORGET_MARKS, tenant.org_id, principal_id, read_to)
