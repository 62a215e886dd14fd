"""The event stream of in-app notifications."""

from collections.abc import AsyncIterator

from aiohttp import web

from api.http.transport.streams import Feed, Streams
from storage.notifications.announcements import CHANNEL
from storage.notifications.queries.inapp import newest_numbers

NOTIFICATIONS: web.AppKey[Streams] = web.AppKey("notifications", Streams)


async def notification_streams(app: web.Application) -> AsyncIterator[None]:
    """Provide `NOTIFICATIONS` while the application serves."""
    async with Streams.opened(app, Feed(CHANNEL, newest_numbers)) as streams:
        app[NOTIFICATIONS] = streams
        yield
