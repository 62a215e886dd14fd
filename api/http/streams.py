"""Live answers: server-sent events that begin behind the last one a client had and go on as notifications come.

Postgres is the truth: a stream reads whatever stands behind its place, whyever it was woken. Redis wakes it at once,
and a look into Postgres every few seconds finds what Redis lost (HTML standard, section 9.2: server-sent events).
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPMethod
from uuid import UUID

import structlog
from aiohttp import web
from redis.exceptions import RedisError

from api.http.calls import SERVICES, SURFACE, Call
from domain.errors import NotFound, Unauthenticated, Unavailable
from storage.database import TRANSIENT, Reader
from storage.services import Services

EVENT_STREAM = "text/event-stream"
MAX_STREAMS = 1000
"""Open at once in one process."""
POLL = 5.0
"""Seconds between two looks into Postgres, and between two at a silent client."""
HEARTBEAT = 15.0
"""Seconds between two signs of life; before each one the credential is checked anew."""
RETRY = 3000
"""Milliseconds after which a client comes back."""
TIMEOUT_WRITE = 30.0
"""Seconds that a client may take to make room for one event."""
TIMEOUT_STOP = 1.0
"""Seconds that streams have to end by themselves when the process stops."""

_HEADERS = {"Content-Type": EVENT_STREAM, "Cache-Control": "no-store", "X-Accel-Buffering": "no"}

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class StreamEvent:
    """One event; `data` is a line. A client that comes back names the `id` of the last one it had."""

    id: int
    name: str
    data: str

    @property
    def frame(self) -> bytes:
        """As it is sent."""
        return f"id: {self.id}\nevent: {self.name}\ndata: {self.data}\n\n".encode()


@dataclass(frozen=True, slots=True)
class Feed:
    """Where the events of a kind come from.

    `channel` begins the name of the Redis channel that announces them; the organisation's id follows. `newest` tells
    the last number of each of these organisations that has any.
    """

    channel: str
    newest: Callable[[Reader, Collection[UUID]], Awaitable[Mapping[UUID, int]]]


Follow = Callable[[int], Awaitable[Sequence[StreamEvent]]]
"""The next events behind an id, in order, and not too many at once."""


@dataclass(eq=False)
class _Stream:
    call: Call
    response: web.StreamResponse
    place: int
    follow: Follow
    limit: asyncio.Timeout = field(default_factory=lambda: asyncio.timeout(None))
    over: bool = False

    def __post_init__(self) -> None:
        self.news = asyncio.Event()
        self.news.set()

    async def run(self) -> None:
        """Until the client is gone, its credential no longer holds, or the process stops."""
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
                await self._rest(min(POLL, beat - now()))

    async def _send_news(self) -> None:
        events = await self._news()
        for event in events:
            await self._write(event.frame)
            self.place = event.id
        if events:
            self.news.set()  # there may be more

    async def _news(self) -> Sequence[StreamEvent]:
        """Nothing while the database cannot be reached: the next look wakes the stream again."""
        try:
            return await self.follow(self.place)
        except TRANSIENT as error:
            log.warning("streams.unread", error=type(error).__name__)
            return ()

    async def _write(self, text: bytes) -> None:
        """Wait until the client has room for more. Raises TimeoutError for one that takes nothing."""
        async with asyncio.timeout(TIMEOUT_WRITE):
            await self.response.write(text)

    async def _rest(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self.news.wait(), seconds)

    def _gone(self) -> bool:
        transport = self.call.request.transport
        return transport is None or transport.is_closing()

    async def _allowed(self) -> bool:
        """Whether the caller is who it was, with the same rights; nobody knows while the database is out of reach."""
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
        """How many there are."""
        return sum(map(len, self._open.values()))

    async def serve(self, call: Call, place: int, follow: Follow) -> web.StreamResponse:
        """Send the caller's organisation's events behind `place` as they come. Raises Unavailable for one too many."""
        response = web.StreamResponse(headers=_HEADERS)
        if call.request.method == HTTPMethod.HEAD:
            await response.prepare(call.request)
            return response
        stream = _Stream(call, response, place, follow)
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
        if self._closing or self.open >= MAX_STREAMS:
            raise Unavailable("Too many streams are open; try again shortly.", RETRY // 1000)
        listed = self._open.setdefault(org_id, set())
        listed.add(stream)
        try:
            yield
        finally:
            listed.discard(stream)
            if not listed:
                self._open.pop(org_id, None)

    def end(self) -> None:
        """The process stops: no stream begins any more, and those that are open end, slow clients or not."""
        if self._closing:
            return
        self._closing = True
        latest = asyncio.get_running_loop().time() + TIMEOUT_STOP
        for stream in self._every():
            stream.over = True
            stream.news.set()
            stream.limit.reschedule(latest)

    def _every(self) -> list[_Stream]:
        return [stream for streams in self._open.values() for stream in streams]

    def _wake(self, streams: Iterable[_Stream]) -> None:
        for stream in streams:
            stream.news.set()

    async def _listen(self) -> None:
        """Hear what is announced. What was announced before that is found by the look."""
        while not self._closing:
            try:
                async with self._services.redis.pubsub() as channel:
                    await channel.psubscribe(f"{self._feed.channel}*")
                    while not self._closing:
                        message = await channel.get_message(ignore_subscribe_messages=True, timeout=POLL)
                        if message is not None:
                            self._hear(message["channel"])
            except (RedisError, OSError) as error:
                log.warning("streams.unheard", error=type(error).__name__)
                await asyncio.sleep(POLL)

    def _hear(self, channel: bytes) -> None:
        with suppress(ValueError):
            self._wake(self._open.get(UUID(channel.decode().removeprefix(self._feed.channel)), ()))

    async def _look(self) -> None:
        """Find what nobody announced: one question for all organisations that are listened to."""
        while not self._closing:
            await asyncio.sleep(POLL)
            if not self._open:
                continue
            try:
                async with self._services.database.read() as reader:
                    newest = await self._feed.newest(reader, list(self._open))
            except Exception as error:  # noqa: BLE001 - whatever it is, the next look may succeed
                log.warning("streams.blind", error=type(error).__name__)
                continue
            for org_id, n in newest.items():
                self._wake(stream for stream in self._open.get(org_id, ()) if stream.place < n)

    @classmethod
    @asynccontextmanager
    async def opened(cls, app: web.Application, feed: Feed) -> "AsyncIterator[Streams]":
        """With its tasks; they end with the application at the latest."""
        streams = cls(app[SERVICES], feed)
        app[STREAMS].append(streams)
        tasks = [asyncio.create_task(streams._listen()), asyncio.create_task(streams._look())]
        try:
            yield streams
        finally:
            # redis-py may swallow a cancellation that meets a command in flight; `end` ends the loop all the same.
            streams.end()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


STREAMS: web.AppKey[list[Streams]] = web.AppKey("streams", list)
"""Every one that was opened, so that all end when the process stops."""
