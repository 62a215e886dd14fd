"""A client of server-sent events that reads what comes, one block at a time."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiohttp import ClientResponse

from tests.api.caller import V1, Caller

STREAM = f"{V1}/notifications/stream"
PATIENCE = 20.0
"""Seconds: bounds only end what hangs."""


@dataclass(frozen=True)
class Received:
    """One event."""

    id: int
    name: str
    data: Any

    @property
    def title(self) -> str:
        return str(self.data["title"])


@dataclass(frozen=True)
class EventStream:
    """An open stream."""

    response: ClientResponse

    async def block(self, seconds: float = PATIENCE) -> list[str] | None:
        """The lines up to the next empty one; None at the end."""
        lines: list[str] = []
        async with asyncio.timeout(seconds):
            while raw := await self.response.content.readline():
                if raw == b"\n":
                    return lines
                lines.append(raw.decode().removesuffix("\n"))
        assert lines == [], "the stream ended amid an event"
        return None

    async def event(self, seconds: float = PATIENCE) -> Received:
        """The next event; comments and the like are passed over."""
        while (lines := await self.block(seconds)) is not None:
            fields = dict(line.split(": ", 1) for line in lines)
            if "id" in fields:
                assert list(fields) == ["id", "event", "data"]
                return Received(int(fields["id"]), fields["event"], json.loads(fields["data"]))
        raise AssertionError("the stream ended")

    async def events(self, number: int) -> list[Received]:
        return [await self.event() for _ in range(number)]

    async def silent(self, seconds: float) -> bool:
        """Whether no event comes for so long."""
        try:
            await self.event(seconds)
        except TimeoutError:
            return True
        return False

    async def ended(self, seconds: float = PATIENCE) -> bool:
        """Wait for the end, passing over whatever comes before it."""
        while await self.block(seconds) is not None:
            pass
        return True


@asynccontextmanager
async def listening(caller: Caller, query: str = "", **headers: str) -> AsyncIterator[EventStream]:
    """A stream whose beginning has come, so that what happens from now on is told."""
    credential = {"X-Api-Key": caller.key} if caller.key else {}
    async with caller.client.get(STREAM + query, headers=credential | headers) as response:
        assert response.status == 200, await response.text()
        stream = EventStream(response)
        assert await stream.block() == ["retry: 3000"]
        yield stream
