"""The baseline of the HTTP scenarios: aiohttp and the HMAC, and if told so one INSERT and commit per request.

`python -m tests.bench.bare_handler PORT SECRET [DATABASE_URL]`
"""

import asyncio
import hmac
import sys
from collections.abc import Awaitable, Callable
from http import HTTPStatus

import asyncpg
import uvloop
from aiohttp import web

SCHEMA = "CREATE TABLE arrivals (delivery_id text PRIMARY KEY, body bytea NOT NULL, received_at timestamptz NOT NULL)"
POOL = 16
"""As many connections as an API process of ours has."""
_INSERT = "INSERT INTO arrivals (delivery_id, body, received_at) VALUES ($1, $2, now())"

Keep = Callable[[str, bytes], Awaitable[object]]


def build(secret: bytes, keep: Keep | None) -> web.Application:
    """The application; `keep` stores a delivery."""

    async def receive(request: web.Request) -> web.Response:
        body = await request.read()
        expected = "sha256=" + hmac.digest(secret, body, "sha256").hex()
        if not hmac.compare_digest(request.headers.get("X-Hub-Signature-256", ""), expected):
            return web.Response(status=HTTPStatus.UNAUTHORIZED)
        if keep is not None:
            await keep(request.headers["X-GitHub-Delivery"], body)
        return web.json_response({"accepted": True}, status=HTTPStatus.ACCEPTED)

    app = web.Application()
    app.router.add_post("/", receive)
    return app


async def serve(port: int, secret: str, database_url: str | None) -> None:
    """Serve until killed."""
    if database_url is None:
        await listen(build(secret.encode(), None), port)
        return
    async with asyncpg.create_pool(database_url, min_size=POOL, max_size=POOL) as pool:

        async def keep(delivery_id: str, body: bytes) -> None:
            await pool.execute(_INSERT, delivery_id, body)

        await listen(build(secret.encode(), keep), port)


async def listen(app: web.Application, port: int) -> None:
    """Listen on loopback until killed."""
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, backlog=1024).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), sys.argv[2], sys.argv[3] if len(sys.argv) > 3 else None))
