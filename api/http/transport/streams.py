"""Server-sent events (HTML standard, section 9.2): a stream resumes after the last event the client received.

PostgreSQL is the source of truth: whatever wakes a stream, it reads the events after its position from there. A Redis
message wakes it at once; polling PostgreSQL every few seconds finds the events whose message was lost.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPMethod
from random import uniform
from uuid import UUID

import structlog
from aiohttp import web
from redis.exceptions import RedisError

from api.http.calls import SERVICES, SURFACE, Call
from domain.errors import NotFound, Throttled, Unauthenticated, Unavailable
from domain.identity.quotas import FixedLimit
from storage.database import TRANSIENT, Reader
from storage.services import Services

EVENT_STREAM = "text/event-stream"
MAX_STREAMS = 1000
"""Streams open at once in one process."""
POLL = 5.0
"""Seconds between two polls of PostgreSQL, and between two checks that an idle client is still connected."""
HEARTBEAT = 15.0
"""Seconds between two heartbeat comments; the credential is checked again before each one, and before events."""
RETRY = 3000
"""Milliseconds after which a client reconnects."""
PAUSE_REFUSED = 1.0
"""Seconds before a stream too many is refused: a client that asks again at once would keep the process busy."""
TIMEOUT_WRITE = 30.0
"""Seconds that a slow client may block the write of one event."""
TIMEOUT_STOP = 1.0
"""Seconds that open streams have to end when the process stops."""

_HEADERS = {"Content-Type": EVENT_STREAM, "Cache-Control": "no-store", "X-Accel-Buffering": "no"}

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class StreamEvent:
    """One event; `data` is a single line. A client that reconnects sends the `id` of the last event it received."""

    id: int
    name: str
    data: str

    @property
    def frame(self) -> bytes:
        """The event in the wire format of server-sent events."""
        return f"id: {self.id}\nevent: {self.name}\ndata: {self.data}\n\n".encode()


@dataclass(frozen=True, slots=True)
class Feed:
    """The source of one kind of event.

    `channel` is the prefix of the Redis channel that announces them; the organisation's id follows it. `newest` returns
    the id of the latest event of each given organisation that has any.
    """

    channel: str
    newest: Callable[[Reader, Collection[UUID]], Awaitable[Mapping[UUID, int]]]


Follow = Callable[[int], Awaitable[Sequence[StreamEvent]]]
"""Returns the next events after an id, in order, a limited number at a time."""


@dataclass(eq=False)
class _Stream:
    call: Call
    response: web.StreamResponse
    position: int
    follow: Follow
    limit: asyncio.Timeout = field(default_factory=lambda: asyncio.timeout(None))
    over: bool = False

    def __post_init__(self) -> None:
        self.news = asyncio.Event()
        self.news.set()

    @property
    def holder(self) -> UUID:
        """The key whose stream this is; without keys, the principal."""
        return self.call.caller.credential_id or self.call.caller.id

    async def run(self) -> None:
        """Send events until the client disconnects, its credential is no longer valid, or the process stops."""
        now = asyncio.get_running_loop().time
        await self._write(b"retry: %d\n\n" % RETRY)
        beat = now() + HEARTBEAT
        while not self.over and not self._gone():
            if now() >= beat:
                self.over = not await self._allowed()
                await self._write(b": \n\n")
                beat = now() + HEARTBEAT
            elif self.news.is_set():
                self.news.clear()
                await self._send_news()
            else:
                await self._wait(min(POLL, beat - now()))

    async def _send_news(self) -> None:
        events = await self._news()
        if events and not await self._allowed():
            self.over = True
            return
        for event in events:
            await self._write(event.frame)
            self.position = event.id
        if events:
            self.news.set()  # there may be more

    async def _news(self) -> Sequence[StreamEvent]:
        """Return the next events; none while the database cannot be reached, as the next poll wakes the stream."""
        try:
            return await self.follow(self.position)
        except TRANSIENT as error:
            log.warning("streams.unread", error=type(error).__name__)
            return ()

    async def _write(self, text: bytes) -> None:
        """Write to the client, waiting while its buffer is full. Raises TimeoutError when it stops reading."""
        async with asyncio.timeout(TIMEOUT_WRITE):
            await self.response.write(text)

    async def _wait(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self.news.wait(), seconds)

    def _gone(self) -> bool:
        transport = self.call.request.transport
        return transport is None or transport.is_closing()

    async def _allowed(self) -> bool:
        """Return whether the credential still gives the same rights; True while the database cannot be reached."""
        try:
            request = self.call.request
            return await request[SURFACE].authenticate(request) == self.call.caller
        except (Unauthenticated, NotFound):
            return False
        except TRANSIENT:
            return True


class Streams:
    """The open streams of one kind of event in this process, and the two tasks that wake them."""

    def __init__(self, services: Services, feed: Feed) -> None:
        self._services = services
        self._feed = feed
        self._open: dict[UUID, set[_Stream]] = {}
        self._closing = False

    @property
    def open(self) -> int:
        """The number of open streams."""
        return sum(map(len, self._open.values()))

    async def serve(self, call: Call, position: int, follow: Follow) -> web.StreamResponse:
        """Stream the events of the caller's organisation that come after the id `position`.

        Raises Throttled when the key or the organisation has too many streams open, Unavailable when the process has.
        """
        response = web.StreamResponse(headers=_HEADERS)
        if call.request.method == HTTPMethod.HEAD:
            await response.prepare(call.request)
            return response
        stream = _Stream(call, response, position, follow)
        try:
            self._require_place(call.caller.org_id, stream)
        except Throttled:
            await asyncio.sleep(PAUSE_REFUSED * uniform(0.5, 1.5))  # noqa: S311 - so that they do not come all at once
            raise
        with self._listed(call.caller.org_id, stream):
            try:
                async with stream.limit:
                    await response.prepare(call.request)
                    await stream.run()
            except (ConnectionError, TimeoutError):
                if call.request.transport is not None:
                    call.request.transport.abort()
        return response

    @contextmanager
    def _listed(self, org_id: UUID, stream: _Stream) -> Iterator[None]:
        listed = self._open.setdefault(org_id, set())
        listed.add(stream)
        try:
            yield
        finally:
            listed.discard(stream)
            if not listed:
                self._open.pop(org_id, None)

    def _require_place(self, org_id: UUID, stream: _Stream) -> None:
        if self._closing or self.open >= MAX_STREAMS:
            raise Unavailable("Too many streams are open; try again shortly.", RETRY // 1000)
        settings, of_organisation = self._services.settings, self._open.get(org_id, ())
        if sum(other.holder == stream.holder for other in of_organisation) >= settings.streams_per_key:
            raise _too_many("key", FixedLimit.STREAMS_PER_KEY, settings.streams_per_key)
        if len(of_organisation) >= settings.streams_per_organisation:
            raise _too_many("organisation", FixedLimit.STREAMS_PER_ORGANISATION, settings.streams_per_organisation)

    def end(self) -> None:
        """Refuse new streams and end the open ones, after `TIMEOUT_STOP` even those of slow clients."""
        if self._closing:
            return
        self._closing = True
        latest = asyncio.get_running_loop().time() + TIMEOUT_STOP
        for stream in self._all():
            stream.over = True
            stream.news.set()
            stream.limit.reschedule(latest)

    def _all(self) -> list[_Stream]:
        return [stream for streams in self._open.values() for stream in streams]

    def _wake(self, streams: Iterable[_Stream]) -> None:
        for stream in streams:
            stream.news.set()

    async def _listen(self) -> None:
        """Wake streams by Redis messages. Polling finds the events that were announced before the subscription."""
        while not self._closing:
            try:
                async with self._services.redis.pubsub() as channel:
                    await channel.psubscribe(f"{self._feed.channel}*")
                    while not self._closing:
                        message = await channel.get_message(ignore_subscribe_messages=True, timeout=POLL)
                        if message is not None:
                            self._wake_channel(message["channel"])
            except (RedisError, OSError) as error:
                log.warning("streams.unheard", error=type(error).__name__)
                await asyncio.sleep(POLL)

    def _wake_channel(self, channel: bytes) -> None:
        with suppress(ValueError):
            self._wake(self._open.get(UUID(channel.decode().removeprefix(self._feed.channel)), ()))

    async def _poll(self) -> None:
        """Wake streams that have unsent events, with one query for all organisations that have streams."""
        while not self._closing:
            await asyncio.sleep(POLL)
            if not self._open:
                continue
            try:
                async with self._services.database.read() as reader:
                    newest = await self._feed.newest(reader, list(self._open))
            except Exception as error:  # noqa: BLE001 - whatever it is, the next poll may succeed
                log.warning("streams.blind", error=type(error).__name__)
                continue
            for org_id, n in newest.items():
                self._wake(stream for stream in self._open.get(org_id, ()) if stream.position < n)

    @classmethod
    @asynccontextmanager
    async def opened(cls, app: web.Application, feed: Feed) -> "AsyncIterator[Streams]":
        """Run the tasks that wake the streams, until the application ends at the latest."""
        streams = cls(app[SERVICES], feed)
        app[STREAMS].append(streams)
        tasks = [asyncio.create_task(streams._listen()), asyncio.create_task(streams._poll())]
        try:
            yield streams
        finally:
            # redis-py may swallow a cancellation during a command; the flag that `end` sets stops the loop anyway.
            streams.end()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def _too_many(holder: str, limit: FixedLimit, most: int) -> Throttled:
    message = f"This {holder} has {most} event streams open, which is the maximum (limit: {limit})."
    return Throttled(message, RETRY // 1000, limit=limit)


STREAMS: web.AppKey[list[Streams]] = web.AppKey("streams", list)
"""All `Streams` of the application, so that a shutdown can end them."""
