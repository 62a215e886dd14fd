"""The baseline of the assertion: aiohttp and one SELECT by primary key.

`python -m tests.bench.bare_select PORT DATABASE_URL`
"""

import sys

import asyncpg
import uvloop
from aiohttp import web

from tests.bench.bare_handler import POOL, listen

SCHEMA = "CREATE TABLE answers (id int PRIMARY KEY, status text NOT NULL); INSERT INTO answers VALUES (1, 'COMPLIANT')"
_SELECT = "SELECT status FROM answers WHERE id = $1"


async def serve(port: int, database_url: str) -> None:
    """Serve until killed."""
    async with asyncpg.create_pool(database_url, min_size=POOL, max_size=POOL) as pool:

        async def answer(request: web.Request) -> web.Response:
            await request.read()
            return web.json_response({"status": await pool.fetchval(_SELECT, 1)})

        app = web.Application()
        app.router.add_post("/", answer)
        await listen(app, port)


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), sys.argv[2]))
