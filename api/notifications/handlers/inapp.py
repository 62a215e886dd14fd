"""Handlers of in-app notifications."""

from uuid import UUID

from aiohttp import web

from api.http.calls import Call, Preview, Reply
from api.http.dry_runs import DryRun, Updated, WouldUpdate, updated
from api.http.paging import list_reply
from api.http.transport.streams import StreamEvent
from api.notifications.schemas.inapp import LastEventId, NotificationOut, NotificationsQuery, UnreadCountOut
from api.notifications.streams import NOTIFICATIONS
from domain.notifications.inapp import Notification
from storage.notifications.commands import inapp as commands
from storage.notifications.queries import inapp as queries

BATCH = 100
"""Notifications that a stream reads at once."""


async def list_notifications(call: Call, query: NotificationsQuery) -> Reply[list[NotificationOut]]:
    """List the notifications of the organisation, newest first.

    All members of the organisation see the same notifications; `isRead` is specific to the caller.
    """
    async with call.read() as reader:
        page = await queries.list_notifications(
            reader, call.tenant, call.caller.id, query.window(), **query.to_filters()
        )
    return list_reply(call, page, NotificationOut)


async def count_unread_notifications(call: Call) -> UnreadCountOut:
    """Count the caller's unread notifications."""
    async with call.read() as reader:
        return UnreadCountOut(count=await queries.count_unread(reader, call.tenant, call.caller.id))


async def mark_notification_read(
    call: Call, notification_id: UUID, dry_run: DryRun = False
) -> Updated[NotificationOut]:
    """Mark a notification as read."""
    async with call.transaction(dry_run=dry_run) as tx:
        notification = await commands.mark_read(tx, call.tenant, call.caller.id, notification_id)
    return updated(NotificationOut.of(notification, call), dry_run=dry_run)


async def mark_all_notifications_read(
    call: Call, dry_run: DryRun = False
) -> Preview[WouldUpdate[UnreadCountOut]] | None:
    """Mark all notifications as read.

    A dry run returns the number of unread notifications that would remain.
    """
    async with call.transaction(dry_run=dry_run) as tx:
        await commands.mark_all_read(tx, call.tenant, call.caller.id)
        left = await queries.count_unread(tx, call.tenant, call.caller.id)
    return Preview(WouldUpdate(would_update=UnreadCountOut(count=left))) if dry_run else None


async def stream_notifications(call: Call, last_event_id: LastEventId = None) -> web.StreamResponse:
    """Stream notifications as server-sent events.

    Each event `notification` contains one notification in JSON; its `id` is the number of the notification in the
    organisation, without gaps. A client that reconnects sends the last number it received in `Last-Event-ID` and gets
    the events it missed; browsers do so by themselves. A comment every 15 seconds keeps the connection alive. The
    stream ends when the credential is no longer valid.
    """
    tenant, caller = call.tenant, call.caller

    async def follow(n: int) -> list[StreamEvent]:
        async with call.read() as reader:
            behind = await queries.notifications_behind(reader, tenant, caller.id, n, BATCH)
        return [_event(call, one) for one in behind]

    async with call.read() as reader:
        newest = (await queries.newest_numbers(reader, [tenant.org_id])).get(tenant.org_id, 0)
    position = newest if last_event_id is None else min(last_event_id, newest)
    return await call.request.app[NOTIFICATIONS].serve(call, position, follow)


def _event(call: Call, notification: Notification) -> StreamEvent:
    body = NotificationOut.of(notification, call).model_dump_json(by_alias=True)
    return StreamEvent(notification.n, "notification", body)
