"""Databases for tests that count, tamper or run workers: each begins as the template does.

Copying the template and dropping the copy takes tens of milliseconds in memory and close to a second on a busy disk;
deleting the rows of one test takes five. So a database is used again by the next test, unless its catalogue is not the
template's any more: whoever added a partition or altered a table leaves a database that is dropped.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count

import asyncpg

from cli.embedded.testing import clone_database, drop_database
from tests.servers import TEMPLATE

CATALOGUE = """
SELECT md5(string_agg(line, E'\\n' ORDER BY line)) FROM (
    SELECT concat_ws(' ', c.relname, c.relkind, c.reloptions, c.relacl, pg_get_expr(c.relpartbound, c.oid)) AS line
    FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace
    UNION ALL
    SELECT concat_ws(' ', a.attrelid::regclass, a.attname, a.atttypid, a.attnotnull, pg_get_expr(d.adbin, d.adrelid))
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid AND c.relnamespace = 'public'::regnamespace
    LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum WHERE a.attnum > 0 AND c.relkind <> 'i'
    UNION ALL
    SELECT concat_ws(' ', t.tgrelid::regclass, t.tgname, t.tgenabled, t.tgtype) FROM pg_trigger t
    UNION ALL
    SELECT concat_ws(' ', n.conrelid::regclass, n.conname, n.convalidated) FROM pg_constraint n
    WHERE n.connamespace = 'public'::regnamespace
    UNION ALL
    SELECT concat_ws(' ', p.proname, p.prosrc) FROM pg_proc p WHERE p.pronamespace = 'public'::regnamespace
    UNION ALL
    SELECT concat_ws(' ', s.sequencename, s.last_value) FROM pg_sequences s
    UNION ALL
    SELECT version_num FROM alembic_version
) AS lines
"""
"""A digest of everything that a test could alter beside rows."""
TABLES = """
SELECT c.relname FROM pg_class c
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND c.relname <> 'alembic_version'
"""
OTHERS = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = current_database() AND pid <> $1"


class Databases:
    """The databases of one xdist worker; `take` and `give_back` are called outside any event loop."""

    def __init__(self, admin_url: str, prefix: str) -> None:
        self._admin_url = admin_url
        self._prefix = prefix
        self._numbers = count()
        self._names: dict[str, str] = {}
        self._free: list[str] = []
        self._pristine: str | None = None
        self._tables: list[str] = []

    def take(self) -> str:
        """The URL of a database that is as the template is."""
        return self._free.pop() if self._free else asyncio.run(self._copied())

    def give_back(self, url: str) -> None:
        """The database may be given to the next test, or goes."""
        if asyncio.run(self._emptied(url)):
            self._free.append(url)
        else:
            asyncio.run(drop_database(self._admin_url, self._names.pop(url)))

    def close(self) -> None:
        """Drop all that were made."""
        for name in self._names.values():
            asyncio.run(drop_database(self._admin_url, name))

    async def _copied(self) -> str:
        name = f"{self._prefix}_{next(self._numbers)}"
        url = await clone_database(self._admin_url, TEMPLATE, name)
        self._names[url] = name
        if self._pristine is None:
            async with _connected(url) as connection:
                self._pristine = await connection.fetchval(CATALOGUE)
                self._tables = [table for (table,) in await connection.fetch(TABLES)]
        return url

    async def _emptied(self, url: str) -> bool:
        """Whether all rows could be deleted, so that the database is as the template is."""
        async with _connected(url) as connection:
            await connection.fetch(OTHERS, connection.get_server_pid())
            if await connection.fetchval(CATALOGUE) != self._pristine:
                return False
            await self._delete_rows(connection)
            return True

    async def _delete_rows(self, connection: asyncpg.Connection) -> None:
        """Without triggers, because most tables are append-only."""
        filled = " UNION ALL ".join(
            f"SELECT '{table}' WHERE EXISTS (SELECT FROM \"{table}\")" for table in self._tables
        )
        names = [name for (name,) in await connection.fetch(filled)]
        await connection.execute(
            "SET session_replication_role = replica;" + ";".join(f'DELETE FROM "{name}"' for name in names)
        )


@asynccontextmanager
async def _connected(url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()
