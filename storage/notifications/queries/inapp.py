"""Reading in-app notifications, with the read marks of one person."""

from collections.abc import Collection
from dataclasses import replace
from uuid import UUID

from domain.notifications.inapp import Notification
from domain.notifications.triggers import Severity
from domain.tenant import Tenant
from storage.database import Reader
from storage.paging import Cursor, Listing, Page, Where, Window, capped_count, fetch_page
from storage.rows import from_row

_READ_TO = "coalesce((SELECT read_to FROM notification_readers WHERE org_id = $1 AND principal_id = $2), 0)"
_MARKED = """EXISTS (
  SELECT FROM notification_reads m WHERE m.org_id = $1 AND m.principal_id = $2 AND m.n = notifications.n
)"""
_IS_READ = f"(n <= {_READ_TO} OR {_MARKED})"
_READ = {True: [_IS_READ], False: [f"n > {_READ_TO}", f"NOT {_MARKED}"], None: []}

_NOTIFICATIONS = Listing(
    "notification",
    f"id, n, title, message, severity, entity_type, entity_id, created_at, {_IS_READ} AS is_read",
    "notifications",
    from_row(Notification, severity=Severity),
    time="n",
)


def _seen_by(tenant: Tenant, principal_id: UUID) -> Where:
    """Return the condition for the organisation's notifications; the person is $2 in every statement here."""
    return Where(("org_id = $1",), (tenant.org_id, principal_id))


async def get_notification(reader: Reader, tenant: Tenant, principal_id: UUID, notification_id: UUID) -> Notification:
    """Return one notification. Raises NotFound, also for another organisation's."""
    where = _seen_by(tenant, principal_id).and_("id = {}", notification_id)
    row = await reader.row(f"{_NOTIFICATIONS.select} WHERE {where}", *where.values)
    if row is None:
        raise _NOTIFICATIONS.missing(notification_id)
    return _NOTIFICATIONS.make(row)


async def list_notifications(
    reader: Reader,
    tenant: Tenant,
    principal_id: UUID,
    window: Window,
    *,
    is_read: bool | None = None,
    severity: Severity | None = None,
) -> Page[Notification]:
    """List the organisation's notifications by number, which is commit order, newest first."""
    where = _seen_by(tenant, principal_id)
    for condition in _READ[is_read]:
        where = where.and_(condition)
    if severity is not None:
        where = where.and_("severity = {}", severity)
        own = f"(SELECT {_NOTIFICATIONS.columns}, org_id FROM notifications WHERE org_id = $1) AS notifications"
        total, capped = await capped_count(reader, own, where)
    else:
        total, capped = await _total(reader, where, is_read), False
    items, following = await _page(reader, where, window)
    return Page(items, total, window, following, capped)


async def _page(reader: Reader, where: Where, window: Window) -> tuple[list[Notification], Cursor | None]:
    """Return one page. The cursor contains a time and an id as in every list, but the order is by number."""
    behind = replace(window, after=None, descending=True)
    if window.after is not None:
        behind = replace(behind, page=0)
        where = where.and_("n < (SELECT n FROM notifications WHERE org_id = $1 AND id = {})", window.after.id)
    items, more = await fetch_page(reader, _NOTIFICATIONS, where, behind)
    return items, Cursor(items[-1].created_at, items[-1].id) if more else None


async def _total(reader: Reader, where: Where, is_read: bool | None) -> int:  # noqa: FBT001 - a filter of the list
    """Compute the total from the numbers, without counting rows."""
    counts = await reader.row(_COUNTS, *where.values)
    return counts[_COUNTED[is_read]] if counts else 0


_COUNTS = f"""
SELECT total, unread, total - unread AS read
FROM notification_streams s
CROSS JOIN LATERAL (SELECT greatest({_READ_TO}, s.first_n - 1) AS seen) AS reader
CROSS JOIN LATERAL (
  SELECT s.last_n - s.first_n + 1 AS total, s.last_n - seen - count(*) AS unread
  FROM notification_reads WHERE org_id = $1 AND principal_id = $2 AND n > seen
) AS counted
WHERE s.org_id = $1
"""
_COUNTED = {None: "total", True: "read", False: "unread"}


async def count_unread(reader: Reader, tenant: Tenant, principal_id: UUID) -> int:
    """Return how many notifications a person has not read: the numbers after `read_to` minus the marks beyond it."""
    counts = await reader.row(_COUNTS, tenant.org_id, principal_id)
    return counts["unread"] if counts else 0


async def notifications_behind(
    reader: Reader, tenant: Tenant, principal_id: UUID, n: int, limit: int
) -> list[Notification]:
    """Return up to `limit` notifications after number `n`, oldest first."""
    where = _seen_by(tenant, principal_id).and_("n > {}", n)
    rows = await reader.rows(f"{_NOTIFICATIONS.select} WHERE {where} ORDER BY n LIMIT $4", *where.values, limit)
    return [_NOTIFICATIONS.make(row) for row in rows]


async def newest_numbers(reader: Reader, org_ids: Collection[UUID]) -> dict[UUID, int]:
    """Return the last number of each of these organisations that has notifications."""
    rows = await reader.rows(
        "SELECT org_id, last_n FROM notification_streams WHERE org_id = ANY($1::uuid[])", list(org_ids)
    )
    return {row["org_id"]: row["last_n"] for row in rows}
