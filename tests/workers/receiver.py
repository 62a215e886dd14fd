"""A receiver of outgoing webhooks that checks what it is sent, and misbehaves as it is told."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from standardwebhooks.webhooks import Webhook

Behave = Callable[["Receiver", web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Receiver:
    """What arrived, by message id, in order. `behave` answers after the signature was checked."""

    port: int = 0
    behave: Behave | None = None
    secret: str | None = None
    taken: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook?token=hidden"

    @property
    def copies(self) -> Counter[str]:
        """How often each message was taken."""
        return Counter(self.taken)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        if self.secret:
            Webhook(self.secret).verify(raw, dict(request.headers))
        self.asked.append(request.headers["webhook-id"])
        answer = await self.behave(self, request) if self.behave else web.Response(text="thanks")
        if answer.status < 300:
            self.taken.append(request.headers["webhook-id"])
            self.bodies.append(json.loads(raw))
        return answer


@asynccontextmanager
async def receiving(behave: Behave | None = None, port: int = 0) -> AsyncIterator[Receiver]:
    """A receiver on the loopback."""
    receiver = Receiver(behave=behave)
    app = web.Application()
    app.router.add_post("/hook", receiver.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    receiver.port = runner.addresses[0][1]
    try:
        yield receiver
    finally:
        await runner.cleanup()


def answering(status: int, **headers: str) -> Behave:
    """Always this."""

    async def behave(_receiver: Receiver, _request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, headers=headers)

    return behave


async def cutting(_receiver: Receiver, request: web.Request) -> web.StreamResponse:
    """Hang up in the middle of the answer."""
    answer = web.StreamResponse(headers={"Content-Length": "100"})
    await answer.prepare(request)
    await answer.write(b"half")
    assert request.transport is not None
    request.transport.close()
    return answer


def slow(seconds: float) -> Behave:
    """Think for so long."""

    async def behave(_receiver: Receiver, _request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(seconds)
        return web.Response()

    return behave
