"""Reading in-app notifications, each as one person sees it (integrations.md 11)."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from domain.errors import NotFound
from domain.notifications.inapp import Notification
from domain.notifications.triggers import Severity
from storage.database import Reader, Row
from storage.paging import Cursor, Listing, Page, Window, capped_count, fetch_page, with_total
from storage.tenant import Tenant

_READ_TO = "coalesce((SELECT read_to FROM notification_readers WHERE org_id = $1 AND principal_id = $2), 0)"
_MARKED = """EXISTS (
  SELECT FROM notification_reads m WHERE m.org_id = $1 AND m.principal_id = $2 AND m.n = notifications.n
)"""
_IS_READ = f"(n <= {_READ_TO} OR {_MARKED})"
_NOTIFICATIONS = f"""
SELECT id, n, title, message, severity, entity_type, entity_id, created_at, {_IS_READ} AS is_read FROM notifications
"""  # noqa: S608 - SQL of our own
_READ = {True: [_IS_READ], False: [f"n > {_READ_TO}", f"NOT {_MARKED}"], None: []}


def _notification(row: Row) -> Notification:
    return Notification(**{**row, "severity": Severity(row["severity"])})


_LISTING = Listing(_NOTIFICATIONS, "n", "id", _notification)


async def get_notification(reader: Reader, tenant: Tenant, principal_id: UUID, notification_id: UUID) -> Notification:
    """One notification. Raises NotFound, also for another organisation's."""
    one = f"{_NOTIFICATIONS} WHERE org_id = $1 AND id = $3"
    row = await reader.row(one, tenant.org_id, principal_id, notification_id)
    if row is None:
        raise NotFound(f"There is no notification {notification_id}.")
    return _notification(row)


@dataclass(frozen=True, slots=True)
class NotificationFilters:
    """What is None asks for nothing."""

    is_read: bool | None = None
    severity: Severity | None = None


async def list_notifications(
    reader: Reader, tenant: Tenant, principal_id: UUID, filters: NotificationFilters, window: Window
) -> Page[Notification]:
    """The organisation's notifications, newest first: in the order of their numbers, which is that of the commits."""
    conditions = list(_READ[filters.is_read])
    args: list[Any] = [tenant.org_id, principal_id]
    if filters.severity is not None:
        conditions.append("severity = $3")
        args.append(filters.severity)
    total, capped = await _total(reader, conditions, args, filters)
    page = await _page(reader, ["org_id = $1", *conditions], args, window)
    return with_total(page, total, capped=capped)


async def _page(reader: Reader, conditions: list[str], args: list[Any], window: Window) -> Page[Notification]:
    """A cursor names a notification, as everywhere; what counts is its number."""
    behind = replace(window, after=None, descending=True)
    if window.after is not None:
        behind = replace(behind, page=0)
        args = [*args, window.after.id]
        place = f"SELECT n FROM notifications WHERE org_id = $1 AND id = ${len(args)}"  # noqa: S608 - SQL of our own
        conditions = [*conditions, f"n < ({place})"]
    page = await fetch_page(reader, _LISTING, conditions, args, behind)
    last = page.items[-1] if page.next else None
    return replace(page, window=window, next=Cursor(last.created_at, last.id) if last else None)


async def _total(
    reader: Reader, conditions: list[str], args: list[Any], filters: NotificationFilters
) -> tuple[int, bool]:
    """How many there are, and whether there are more: known from the numbers unless a severity is asked for."""
    if filters.severity is not None:
        own = f"({_NOTIFICATIONS} WHERE org_id = $1) AS notifications"
        return await capped_count(reader, own, conditions, args)
    counts = await reader.row(_COUNTS, *args)
    return (counts[_COUNTED[filters.is_read]] if counts else 0), False


_COUNTS = f"""
SELECT total, unread, total - unread AS read
FROM notification_streams s
CROSS JOIN LATERAL (SELECT greatest({_READ_TO}, s.first_n - 1) AS seen) AS reader
CROSS JOIN LATERAL (
  SELECT s.last_n - s.first_n + 1 AS total, s.last_n - seen - count(*) AS unread
  FROM notification_reads WHERE org_id = $1 AND principal_id = $2 AND n > seen
) AS counted
WHERE s.org_id = $1
"""  # noqa: S608 - SQL of our own
_COUNTED = {None: "total", True: "read", False: "unread"}


async def count_unread(reader: Reader, tenant: Tenant, principal_id: UUID) -> int:
    """How many a person has not read: the numbers behind what it has read to, less its marks; nothing is scanned."""
    counts = await reader.row(_COUNTS, tenant.org_id, principal_id)
    return counts["unread"] if counts else 0


async def notifications_behind(
    reader: Reader, tenant: Tenant, principal_id: UUID, n: int, limit: int
) -> list[Notification]:
    """The next ones behind a number, in the order of the stream."""
    following = f"{_NOTIFICATIONS} WHERE org_id = $1 AND n > $3 ORDER BY n LIMIT $4"
    return [_notification(row) for row in await reader.rows(following, tenant.org_id, principal_id, n, limit)]


async def newest_numbers(reader: Reader, org_ids: Collection[UUID]) -> dict[UUID, int]:
    """The last number of each of these organisations that has any: for a process that serves them all."""
    rows = await reader.rows(
        "SELECT org_id, last_n FROM notification_streams WHERE org_id = ANY($1::uuid[])", list(org_ids)
    )
    return {row["org_id"]: row["last_n"] for row in rows}
