"""In-app notifications (integrations.md 11)."""

from uuid import UUID

from aiohttp import web

from api.http.calls import Call, Preview, Reply
from api.http.dry_runs import DryRun, WouldUpdate, updated
from api.http.paging import list_headers
from api.http.streams import StreamEvent
from api.notifications.schemas.inapp import LastEventId, NotificationOut, NotificationsQuery, UnreadCountOut
from api.notifications.streams import NOTIFICATIONS
from domain.notifications.inapp import Notification
from storage.notifications.commands import inapp as commands
from storage.notifications.queries import inapp as queries

BATCH = 100
"""Notifications that a stream reads at once."""


async def list_notifications(call: Call, query: NotificationsQuery) -> Reply[list[NotificationOut]]:
    """List the organisation's notifications, newest first.

    Everybody in the organisation sees the same ones; `isRead` is each caller's own.
    """
    caller = call.caller
    async with call.services.database.read() as reader:
        page = await queries.list_notifications(reader, call.tenant, caller.id, query.filters(), query.window())
    return Reply([NotificationOut.of(one) for one in page.items], headers=list_headers(call.request, page))


async def count_unread_notifications(call: Call) -> UnreadCountOut:
    """Count the notifications that the caller has not read."""
    async with call.services.database.read() as reader:
        return UnreadCountOut(count=await queries.count_unread(reader, call.tenant, call.caller.id))


async def mark_notification_read(
    call: Call, notification_id: UUID, dry_run: DryRun = False
) -> NotificationOut | Preview[WouldUpdate[NotificationOut]]:
    """Mark a notification as read by the caller."""
    async with call.services.database.transaction(dry_run=dry_run) as tx:
        notification = await commands.mark_read(tx, call.tenant, call.caller.id, notification_id)
    return updated(NotificationOut.of(notification), dry_run=dry_run)


async def mark_all_notifications_read(
    call: Call, dry_run: DryRun = False
) -> Preview[WouldUpdate[UnreadCountOut]] | None:
    """Mark every notification there is as read by the caller.

    A dry run answers with the count of unread ones as it would be.
    """
    async with call.services.database.transaction(dry_run=dry_run) as tx:
        await commands.mark_all_read(tx, call.tenant, call.caller.id)
        left = await queries.count_unread(tx, call.tenant, call.caller.id)
    return Preview(WouldUpdate(would_update=UnreadCountOut(count=left))) if dry_run else None


async def stream_notifications(call: Call, last_event_id: LastEventId = None) -> web.StreamResponse:
    """Receive notifications as they come, as server-sent events.

    Each event `notification` carries one in JSON, with its number in the organisation as `id`. Numbers have no gaps.
    A client that was away names the last one it had in `Last-Event-ID` and is sent what it missed; browsers do so by
    themselves. A comment every 15 seconds shows that the stream lives. It ends when the credential no longer holds.
    """
    tenant, caller = call.tenant, call.caller

    async def follow(n: int) -> list[StreamEvent]:
        async with call.services.database.read() as reader:
            return [_event(one) for one in await queries.notifications_behind(reader, tenant, caller.id, n, BATCH)]

    async with call.services.database.read() as reader:
        newest = (await queries.newest_numbers(reader, [tenant.org_id])).get(tenant.org_id, 0)
    place = newest if last_event_id is None else min(last_event_id, newest)
    return await call.request.app[NOTIFICATIONS].serve(call, place, follow)


def _event(notification: Notification) -> StreamEvent:
    body = NotificationOut.of(notification).model_dump_json(by_alias=True)
    return StreamEvent(notification.n, "notification", body)
