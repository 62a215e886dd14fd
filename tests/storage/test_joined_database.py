"""A database inside an open transaction: everything joins it, and nothing is kept without it."""

from uuid import uuid4

import asyncpg
import pytest

from storage.database import Database, Transaction
from storage.services import Services

_INSERT = "INSERT INTO joined (name) VALUES ($1)"


async def begin(tx: Transaction) -> None:
    await tx.execute("CREATE TEMP TABLE joined (name text PRIMARY KEY) ON COMMIT DROP")
    await tx.execute(_INSERT, "outer")


async def insert(database: Database, *new: str) -> None:
    async with database.transaction() as tx:
        for name in new:
            await tx.execute(_INSERT, name)


async def names(tx: Transaction) -> list[str]:
    return [row["name"] for row in await tx.rows("SELECT name FROM joined ORDER BY name")]


async def test_a_transaction_inside_is_kept_with_the_outer_one(services: Services) -> None:
    async with services.database.transaction() as tx:
        await begin(tx)
        async with services.database.within(tx).transaction() as inner:
            await inner.execute(_INSERT, "inner")
            assert inner.now >= tx.now
        assert await names(tx) == ["inner", "outer"]


async def test_one_that_fails_inside_is_undone_alone(services: Services) -> None:
    """A handler that turns a unique violation into a conflict finds the transaction as good as before."""
    async with services.database.transaction() as tx:
        await begin(tx)
        joined = services.database.within(tx)
        with pytest.raises(asyncpg.UniqueViolationError):
            await insert(joined, "lost", "outer")
        await insert(joined, "later")
        assert await names(tx) == ["later", "outer"]


async def test_a_dry_run_inside_keeps_nothing(services: Services) -> None:
    async with services.database.transaction() as tx:
        await begin(tx)
        async with services.database.within(tx).transaction(dry_run=True) as inner:
            await inner.execute(_INSERT, "rehearsed")
            assert await names(inner) == ["outer", "rehearsed"]
        assert await names(tx) == ["outer"]


async def test_readers_inside_see_what_is_not_committed_yet(services: Services) -> None:
    async with services.database.transaction() as tx:
        await begin(tx)
        joined = services.database.within(tx)
        for reading in (joined.read, joined.snapshot):
            async with reading() as reader:
                assert await reader.value("SELECT count(*) FROM joined") == 1
        async with services.database.read() as outside:
            assert await outside.value("SELECT to_regclass('pg_temp.joined')") is None


async def test_what_was_done_inside_is_lost_with_the_outer_one(services: Services) -> None:
    name = f"lost-{uuid4()}"

    async def fail_behind_it() -> None:
        async with services.database.transaction() as tx:
            async with services.database.within(tx).transaction() as inner:
                await inner.execute("INSERT INTO schedule (name, next_run_at) VALUES ($1, now())", name)
            raise LookupError

    with pytest.raises(LookupError):
        await fail_behind_it()
    async with services.database.read() as reader:
        assert await reader.value("SELECT count(*) FROM schedule WHERE name = $1", name) == 0
