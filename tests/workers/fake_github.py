"""GitHub's API of webhook deliveries as a local server: what it is sent must be right in every detail."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from aiohttp import web
from aiohttp.test_utils import TestServer

TOKEN = "a-token-of-the-tests"
HOOK = "/repos/example/app/hooks/42"


@dataclass
class Trouble:
    """An answer in place of the usual one; `hangs` is a server that never answers."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b'{"message": "no"}'
    content_type: str = "application/json"
    hangs: bool = False


@dataclass
class Delivered:
    """One attempt as GitHub lists it."""

    id: int
    guid: str
    status_code: int
    delivered_at: datetime
    event: str
    redelivery: bool

    def shown(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "guid": self.guid,
            "delivered_at": self.delivered_at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "redelivery": self.redelivery,
            "duration": 0.27,
            "status": "OK" if self.status_code == 202 else "Invalid HTTP Response",
            "status_code": self.status_code,
            "event": self.event,
            "action": None if self.event == "push" else "completed",
            "installation_id": None,
            "repository_id": 1296269,
            "throttled_at": None,
        }


@dataclass
class FakeGitHub:
    """One hook. `redelivered` lists the guids asked for, `wrong` what was wrong with any request."""

    base: str = ""
    attempts: list[Delivered] = field(default_factory=list)
    troubles: list[Trouble] = field(default_factory=list)
    """For the next requests, one each, before all goes well again."""
    pages: int = 0
    redelivered: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    deliver: Callable[[str], Awaitable[int]] | None = None
    """What GitHub does with a wish for redelivery; the answer is the receiver's status."""
    asked: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def hook_url(self) -> str:
        return self.base + HOOK

    def attempt(
        self, guid: str | None = None, status: int = 502, *, age: timedelta = timedelta(minutes=1), event: str = "push"
    ) -> str:
        """Something that GitHub sent; the answer is its guid."""
        number = 10**17 + len(self.attempts)
        known = any(one.guid == guid for one in self.attempts)
        made = Delivered(number, guid or str(uuid4()), status, datetime.now(UTC) - age, event, redelivery=known)
        self.attempts.append(made)
        return made.guid

    async def listing(self, request: web.Request) -> web.StreamResponse:
        if trouble := await self._received(request):
            return trouble
        self.pages += 1
        size, start = int(request.query.get("per_page", 30)), self._start(request)
        newest = sorted(self.attempts, key=lambda one: (one.delivered_at, one.id), reverse=True)
        page = newest[start : start + size]
        # As GitHub does: by the number of the repository, whatever the address was.
        link = f"<{self.base}/repositories/1296269/hooks/42/deliveries?per_page={size}&cursor=v1_{start + size}>"
        headers = {"Link": f'{link}; rel="next"'} if start + size < len(newest) else {}
        return web.json_response([one.shown() for one in page], headers=headers)

    def _start(self, request: web.Request) -> int:
        cursor = request.query.get("cursor", "v1_0")
        if not cursor.startswith("v1_"):
            self.wrong.append(f"cursor {cursor}")
        return int(cursor.removeprefix("v1_"))

    async def redelivery(self, request: web.Request) -> web.StreamResponse:
        if trouble := await self._received(request):
            return trouble
        known = {one.id: one.guid for one in self.attempts}
        guid = known.get(int(request.match_info["attempt"]))
        if guid is None:
            return web.json_response({"message": "Not Found"}, status=404)
        self.redelivered.append(guid)
        if self.deliver:
            self.attempt(guid, await self.deliver(guid), age=timedelta())
        return web.json_response({}, status=202)

    async def _received(self, request: web.Request) -> web.StreamResponse | None:
        self.asked.set()
        if self.troubles:
            trouble = self.troubles.pop(0)
            if trouble.hangs:
                await asyncio.sleep(60)
            return web.Response(
                status=trouble.status,
                headers=trouble.headers,
                body=trouble.body,
                content_type=trouble.content_type,
            )
        wanted = {
            "Accept": "application/vnd.github+json",
            "X-GitHub-Api-Version": "2022-11-28",
            "User-Agent": "Trailgate",
        }
        self.wrong += [
            f"{name}: {request.headers.get(name)}" for name in wanted if request.headers.get(name) != wanted[name]
        ]
        if await request.read():
            self.wrong.append("a body")
        if request.headers.get("Authorization") != f"token {TOKEN}":
            return web.json_response({"message": "Bad credentials"}, status=401)
        return None

    async def elsewhere(self, request: web.Request) -> web.StreamResponse:
        self.wrong.append(f"asked for {request.path_qs}")
        return web.json_response({"message": "Not Found"}, status=404)


@asynccontextmanager
async def fake_github() -> AsyncIterator[FakeGitHub]:
    """The server, which must not have been asked for anything wrong in the end."""
    github = FakeGitHub()
    app = web.Application()
    app.router.add_get(f"{HOOK}/deliveries", github.listing)
    app.router.add_post(HOOK + "/deliveries/{attempt:[0-9]+}/attempts", github.redelivery)
    app.router.add_route("*", "/{path:.*}", github.elsewhere)
    server = TestServer(app)
    await server.start_server(shutdown_timeout=0)
    github.base = str(server.make_url("")).rstrip("/")
    try:
        yield github
    finally:
        await server.close()
    assert github.wrong == []
