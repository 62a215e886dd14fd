"""Partitions: which months a table has, and how far they reach."""

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import asyncpg
import pytest

from storage.ids import first_id_at
from storage.partitions import AHEAD, PARTITIONED, ensure_partitions, months, months_ahead, partitions
from storage.services import Services
from tests.storage.shifted import later


@pytest.mark.parametrize("table", PARTITIONED)
async def test_the_months_of_a_fresh_database_follow_each_other(own_services: Services, table: str) -> None:
    async with own_services.database.read() as reader:
        found = await partitions(reader, table)
    wanted = list(months(own_services.clock.now(), AHEAD + 1))
    assert [(month.first, month.after) for month in found] == wanted
    assert [month.name for month in found] == [f"{table}_p{first:%Y%m}" for first, _ in wanted]
    assert all(earlier.high == month.low for earlier, month in pairwise(found))


async def test_a_month_holds_the_ids_that_are_made_in_it(own_services: Services) -> None:
    async with own_services.database.read() as reader:
        month = (await partitions(reader, "messages"))[0]
        bounds = await reader.value(
            "SELECT pg_get_expr(relpartbound, oid) FROM pg_class WHERE relname = $1", month.name
        )
    assert bounds == f"FOR VALUES FROM ('{month.low}') TO ('{month.high}')"
    assert month.low <= own_services.ids.new() < month.high


async def test_how_many_months_are_prepared(own_services: Services) -> None:
    async with own_services.database.read() as reader:
        assert await months_ahead(reader) == dict.fromkeys(PARTITIONED, AHEAD)
    async with later(own_services, timedelta(days=31)).database.transaction() as tx:
        await ensure_partitions(tx)
    async with own_services.database.transaction() as tx:
        last = (await partitions(tx, "attempts"))[-1]
        await tx.execute(f"DROP TABLE {last.name}")
        for month in await partitions(tx, "messages"):
            await tx.execute(f"DROP TABLE {month.name}")
    async with own_services.database.read() as reader:
        assert await months_ahead(reader) == {
            "attempts": AHEAD,
            "audit_events": AHEAD + 1,
            "inbox_bodies": AHEAD + 1,
            "messages": 0,
        }


async def test_months_that_are_over_are_not_ahead(own_services: Services) -> None:
    async with later(own_services, -timedelta(days=400)).database.transaction() as tx:
        await ensure_partitions(tx)
    async with own_services.database.read() as reader:
        assert await months_ahead(reader) == dict.fromkeys(PARTITIONED, AHEAD)
        assert len(await partitions(reader, "attempts")) == 2 * (AHEAD + 1)


async def test_a_long_reader_is_not_waited_for(own_services: Services) -> None:
    """Whoever waits for a lock makes everybody behind it wait too."""
    soon = later(own_services, timedelta(days=31)).database
    async with own_services.database.snapshot() as reading:
        await reading.value("SELECT count(*) FROM audit_events")
        with pytest.raises(asyncpg.LockNotAvailableError):
            async with asyncio.timeout(5), soon.transaction() as tx:
                await ensure_partitions(tx)
    async with soon.transaction() as tx:
        await ensure_partitions(tx)
        assert await months_ahead(tx) == dict.fromkeys(PARTITIONED, AHEAD + 1)


@pytest.mark.parametrize("moment", [datetime(2026, 12, 31, 23, 59, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)])
def test_an_id_belongs_to_the_month_of_its_time(moment: datetime) -> None:
    [(first, after)] = months(moment, 1)
    assert first_id_at(first) <= first_id_at(moment) < first_id_at(after)
