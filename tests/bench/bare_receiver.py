"""Whom the relay and its baseline post to: aiohttp, reading the body and saying nothing.

`python -m tests.bench.bare_receiver PORT`; `GET /` answers how many came.
"""

import sys

import uvloop
from aiohttp import web

from tests.bench.bare_handler import listen


async def serve(port: int) -> None:
    """Serve until killed."""
    taken = 0

    async def take(request: web.Request) -> web.Response:
        nonlocal taken
        await request.read()
        taken += 1
        return web.Response()

    async def count(_request: web.Request) -> web.Response:
        return web.json_response(taken)

    app = web.Application()
    app.router.add_post("/", take)
    app.router.add_get("/", count)
    await listen(app, port)


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
