import asyncio
import json
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.canonical import canonical_json, normalise
from domain.errors import Throttled, Unavailable
from storage.clock import SystemClock
from storage.counters import NO_PARENT, fold, total
from storage.database import open_database
from storage.ids import Ids
from storage.partitions import months, partition_statements
from storage.schedule.commands import due
from storage.services import Services
from tests.storage.world import World


async def test_a_transaction_leaves_nothing_when_it_fails(services: Services) -> None:
    world = await World.founded(services)

    async def fail() -> None:
        async with services.database.transaction() as tx:
            await tx.execute("UPDATE organisations SET name = 'lost' WHERE id = $1", world.tenant.org_id)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    async with services.database.read() as reader:
        assert await reader.value("SELECT name FROM organisations WHERE id = $1", world.tenant.org_id) != "lost"


async def test_a_dry_run_does_everything_and_keeps_nothing(services: Services) -> None:
    world = await World.founded(services)
    async with services.database.transaction(dry_run=True) as tx:
        assert await tx.execute("UPDATE organisations SET name = 'dry' WHERE id = $1", world.tenant.org_id) == 1
    async with services.database.read() as reader:
        assert await reader.value("SELECT name FROM organisations WHERE id = $1", world.tenant.org_id) != "dry"


async def test_a_snapshot_does_not_move(services: Services) -> None:
    world = await World.founded(services)
    async with services.database.snapshot() as reader:
        before = await reader.value("SELECT count(*) FROM flows WHERE org_id = $1", world.tenant.org_id)
        await world.flow()
        assert await reader.value("SELECT count(*) FROM flows WHERE org_id = $1", world.tenant.org_id) == before


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"])), inner, max_size=4
        )
    ),
    max_leaves=12,
)


async def test_what_is_hashed_at_write_is_hashed_alike_after_postgres(services: Services) -> None:
    """The declared form of free JSON must survive jsonb, or honest records would look altered."""
    samples: list[Any] = []

    @settings(max_examples=150, suppress_health_check=[HealthCheck.differing_executors])
    @given(json_values)
    def collect(value: Any) -> None:
        samples.append(value)

    collect()
    samples += [
        1e22,
        -0.0,
        5e-324,
        1.7976931348623157e308,
        0.1,
        1e-7,
        2**63 - 1,
        {"é": 1, "z": {}, "𐀀": 2, "\uffff": 3},
    ]
    async with services.database.read() as reader:
        stored = await reader.rows("SELECT v FROM unnest($1::jsonb[]) WITH ORDINALITY AS t(v, n) ORDER BY n", [
            normalise({"value": sample}) for sample in samples
        ])  # fmt: skip
    for sample, row in zip(samples, stored, strict=True):
        assert canonical_json(row["v"]) == canonical_json({"value": sample}), json.dumps(sample)


async def test_totals_are_exact_while_they_are_folded(services: Services) -> None:
    world = await World.founded(services)
    flow = await world.flow()

    async def fold_often() -> None:
        for _ in range(10):
            async with services.database.transaction() as tx:
                await fold(tx, 3)

    await asyncio.gather(*(world.trail(flow) for _ in range(12)), fold_often(), fold_often())
    async with services.database.transaction() as tx:
        assert await total(tx, world.tenant, "trails", flow.id) == 12
        assert await total(tx, world.tenant, "flows", NO_PARENT) == 1
        await fold(tx, 10_000)
        assert await total(tx, world.tenant, "trails", flow.id) == 12


async def test_what_is_due_is_due_once(services: Services) -> None:
    async def ask() -> bool:
        async with services.database.transaction() as tx:
            return await due(tx, f"test-{id(services)}", 60)

    assert sorted(await asyncio.gather(ask(), ask(), ask())) == [False, False, True]


def test_months_follow_each_other_over_the_year() -> None:
    found = list(months(datetime(2026, 11, 21, tzinfo=UTC), 3))
    assert [(a.year, a.month, b.year, b.month) for a, b in found] == [
        (2026, 11, 2026, 12),
        (2026, 12, 2027, 1),
        (2027, 1, 2027, 2),
    ]
    assert all(
        f"{a:%Y%m}" in statement
        for (a, _), statement in zip(found, partition_statements("t", found[0][0]), strict=False)
    )


async def test_a_server_out_of_connections_is_unavailable_for_a_moment(own_services: Services) -> None:
    role = f"limited_{uuid4().hex}"
    url = urlsplit(own_services.settings.database_url or "")
    async with own_services.database.transaction() as tx:
        await tx.execute(f"CREATE ROLE {role} LOGIN CONNECTION LIMIT 1")
    limited = url._replace(netloc=url.netloc.replace("postgres@", f"{role}@")).geturl()
    async with open_database(
        limited, size=4, clock=SystemClock(), ids=Ids(), name="test", authenticator=own_services.database.authenticator
    ) as database:
        async with database.read():
            with pytest.raises(Unavailable) as refused:
                async with database.read():
                    pytest.fail("there is no second connection")
        assert refused.value.retry_after == 2
        async with database.read() as reader:
            assert await reader.value("SELECT current_user") == role


async def test_an_organisation_leaves_connections_to_others_and_to_the_process(services: Services) -> None:
    busy, quiet = services.database.of("busy"), services.database.of("quiet")
    over = asyncio.Event()

    async def hold() -> None:
        async with busy.read():
            await over.wait()

    holding = [asyncio.create_task(hold()) for _ in range(services.settings.database_pool * 2)]
    await asyncio.sleep(0.1)
    try:
        async with asyncio.timeout(5), quiet.read() as reader, services.database.read() as other:
            assert await reader.value("SELECT 1") == await other.value("SELECT 1") == 1
    finally:
        over.set()
        await asyncio.gather(*holding)


async def test_who_waits_too_long_for_a_connection_is_told_which_limit(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.database.TIMEOUT_ACQUIRE", 0.05)
    busy = services.database.of("busy")

    async def hold_all() -> None:
        async with AsyncExitStack() as held:
            for _ in range(services.settings.database_pool):
                await held.enter_async_context(busy.read())

    with pytest.raises(Throttled, match="database connections"):
        await hold_all()
