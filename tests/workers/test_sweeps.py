"""Every sweep: harmless when repeated, alone or beside itself, on time or late."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from domain.environments.environments import EnvironmentType, NewEnvironment
from domain.environments.snapshots import Report
from domain.facts.reconciliations import MAX_TIMES
from domain.notifications.triggers import Severity
from storage.environments.commands.environments import create_environment
from storage.environments.commands.snapshots import record_snapshot
from storage.facts.commands.reconciliations import NewReconciliation, set_reconciliation
from storage.identity.commands.used_tokens import KEPT
from storage.ids import first_id_at
from storage.notifications.commands.inapp import NewNotification, notify
from storage.outbound import open_outbound
from storage.outbox.commands import NewMessage, destination_for, enqueue
from storage.partitions import ensure_partitions
from storage.schedule.queries import NEVER, sweep_lags
from storage.schedule.sweeps import Sweep
from storage.services import Services
from tests.storage.gates.deciding import ask
from tests.storage.shifted import later
from tests.storage.world import World
from tests.workers.fake_github import TOKEN, FakeGitHub, fake_github
from workers import sweeps
from workers.facts import reconciliation as reconciling
from workers.metrics import SWEEP_FAILURES
from workers.sweeps import REQUESTS_KEPT, SWEEPS, remove_old, run_sweep, sweep

A_YEAR = timedelta(days=365)


@pytest.fixture
async def github() -> AsyncIterator[FakeGitHub]:
    async with fake_github() as fake:
        yield fake


@pytest.fixture
async def busy(own_services: Services, github: FakeGitHub, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    """With something to do for every sweep."""
    monkeypatch.setattr(reconciling, "PAUSE", 0)
    settings = own_services.settings.model_copy(update={"outbound_allow": "127.0.0.0/8"})
    async with open_outbound(settings) as outbound:
        world = await World.founded(replace(own_services, settings=settings, outbound=outbound))
        await make_work(world, github)
        yield world


async def make_work(world: World, github: FakeGitHub) -> None:
    services = world.services
    flow = await world.flow()
    trail = await world.trail(flow)
    config = await world.config(flow)
    await world.deliver(world.arrival(config, "waiting"))
    github.attempt()
    long_ago = later(services, -A_YEAR).database
    async with long_ago.transaction() as tx:
        await ensure_partitions(tx)
        await notify(tx, world.tenant, [NewNotification("old", "", Severity.INFO)])
        destination = await destination_for(tx, world.tenant, "WEBHOOK", "https://r.example", "r.example")
        [message] = await enqueue(tx, world.tenant, [NewMessage(destination, "WEBHOOK", "E", "s", {})])
        await tx.execute("DELETE FROM outbox WHERE message_id = $1", message)
        await tx.execute("UPDATE messages SET id = $2 WHERE id = $1", message, first_id_at(tx.now))
        await tx.execute(
            "INSERT INTO redelivery_requests VALUES ($1, 'old', $2, 1, $3)", config.id, world.tenant.org_id, tx.now
        )
    async with long_ago.transaction() as tx:
        silent = NewEnvironment("silent", EnvironmentType.GENERIC, stale_after=5)
        environment = await create_environment(tx, world.tenant, silent, world.actor)
        await record_snapshot(tx, world.tenant, Report(environment.id, {}), world.actor)
    past = World(later(services, -A_YEAR), world.tenant, world.actor)
    await ask(past, trail.id, deadline=past.services.clock.now() + timedelta(hours=1))
    async with services.database.transaction() as tx:
        new = NewReconciliation(config.id, github.hook_url, TOKEN)
        await set_reconciliation(tx, world.tenant, new, services.envelope, world.actor)


DIGEST = """
SELECT '{0}' AS name, md5(coalesce(string_agg(t::text, chr(10) ORDER BY t::text), '')) AS digest FROM "{0}" t
"""


async def contents(world: World) -> dict[str, Any]:
    """Everything in the database: each table with its columns, its partitions among them, and a digest of its rows."""
    async with world.services.database.read() as reader:
        tables = await reader.rows(
            "SELECT c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
            "WHERE n.nspname = 'public' AND c.relkind = 'r' ORDER BY 1"
        )
        digests = " UNION ALL ".join(DIGEST.format(row["name"]) for row in tables)
        return {row["name"]: row["digest"] for row in await reader.rows(digests)}


DOES_NOTHING_HERE = {Sweep.WAKE_UPS, Sweep.BLOBS, Sweep.ANSWERS, Sweep.PARTITIONS, Sweep.PUBLICATION}
"""Those whose work is not in this database: wake-ups, files, and what is young or there already."""


@pytest.mark.parametrize("name", SWEEPS)
async def test_a_sweep_repeated_changes_nothing(busy: World, name: Sweep) -> None:
    before = await contents(busy)
    await SWEEPS[name](busy.services)
    after = await contents(busy)
    assert (after != before) == (name not in DOES_NOTHING_HERE)
    for _ in range(2):
        await SWEEPS[name](busy.services)
        assert await contents(busy) == after


@pytest.mark.parametrize("name", SWEEPS)
async def test_a_sweep_beside_itself_does_what_one_does(busy: World, github: FakeGitHub, name: Sweep) -> None:
    await asyncio.gather(*(SWEEPS[name](busy.services) for _ in range(3)))
    after = await contents(busy)
    await SWEEPS[name](busy.services)
    assert await contents(busy) == after
    assert len(github.redelivered) == (1 if name is Sweep.RECONCILIATION else 0)


async def test_whole_rounds_at_once(busy: World, github: FakeGitHub) -> None:
    await asyncio.gather(*(sweep(busy.services) for _ in range(4)))
    assert len(github.redelivered) == 1
    await sweep(busy.services)  # folds what another one counted last
    after = await contents(busy)
    for _ in range(3):
        await sweep(busy.services)
    assert await contents(busy) == after, "the schedule too: nothing is due yet, and successes are noted twice a minute"
    async with busy.services.database.read() as reader:
        lags = await sweep_lags(reader, busy.services.clock.now())
    assert set(lags.values()) == {timedelta()}


async def test_partitions_of_a_new_month_are_made_once_a_day(busy: World) -> None:
    await sweep(busy.services)
    tables = set(await contents(busy))
    soon = later(busy.services, timedelta(days=31))
    await sweep(soon)
    assert len(set(await contents(busy)) - tables) == 4
    await sweep(soon)
    assert len(set(await contents(busy)) - tables) == 4


async def test_a_sweep_that_fails_leaves_the_others_alone_and_is_tried_again(
    busy: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = True

    async def fail(_services: Services) -> None:
        if failing:
            raise RuntimeError("not today")

    order = list(SWEEPS)
    monkeypatch.setattr(sweeps, "SWEEPS", {**SWEEPS, Sweep.PARTITIONS: fail, Sweep.COUNTERS: fail})
    failures = SWEEP_FAILURES.labels(Sweep.PARTITIONS.value)
    before = failures._value.get()
    await sweep(busy.services)
    assert failures._value.get() == before + 1
    assert list(sweeps.SWEEPS) == order
    assert await late(busy.services) == {Sweep.PARTITIONS, Sweep.COUNTERS}
    await sweep(busy.services)
    assert failures._value.get() == before + 1, "its turn comes again in ten minutes"
    failing = False
    await sweep(later(busy.services, timedelta(minutes=11)))
    assert await late(busy.services) == set()


async def late(services: Services) -> set[str]:
    async with services.database.read() as reader:
        return {name for name, lag in (await sweep_lags(reader, services.clock.now())).items() if lag == NEVER}


async def test_a_worker_that_dies_in_its_turn_is_succeeded(busy: World, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = 0

    async def die(_services: Services) -> None:
        nonlocal runs
        runs += 1
        raise asyncio.CancelledError

    monkeypatch.setattr(sweeps, "SWEEPS", {Sweep.RETENTION: die})
    for minutes in (0, 5, 11):
        with contextlib.suppress(asyncio.CancelledError):
            await run_sweep(later(busy.services, timedelta(minutes=minutes)), Sweep.RETENTION)
    assert runs == 2


async def test_requests_are_forgotten_after_a_week(busy: World) -> None:
    async def known() -> set[str]:
        async with busy.services.database.read() as reader:
            return {row["delivery_id"] for row in await reader.rows("SELECT delivery_id FROM redelivery_requests")}

    now = datetime.now(UTC)
    async with busy.services.database.transaction() as tx:
        for name, age in (("young", REQUESTS_KEPT - timedelta(minutes=1)), ("over", REQUESTS_KEPT)):
            await tx.execute(
                "INSERT INTO redelivery_requests VALUES ($1, $2, $1, $3, $4)",
                busy.tenant.org_id,
                name,
                MAX_TIMES,
                now - age,
            )
    await remove_old(busy.services)
    assert await known() == {"young"}


async def test_used_tokens_are_forgotten_a_day_after_their_end(busy: World) -> None:
    now = datetime.now(UTC)
    async with busy.services.database.transaction() as tx:
        for name, end in ((b"young", now - KEPT + timedelta(minutes=1)), (b"over", now - KEPT)):
            await tx.execute("INSERT INTO used_tokens VALUES ($1, $2, $3)", busy.tenant.org_id, name, end)
    await remove_old(busy.services)
    async with busy.services.database.read() as reader:
        assert [row["sha256"] for row in await reader.rows("SELECT sha256 FROM used_tokens")] == [b"young"]


@pytest.mark.parametrize(
    ("setting", "table"),
    [
        ("inbox_retention_days", "inbox_bodies"),
        ("attempts_retention_days", "messages"),
        ("notifications_retention_days", "notifications"),
    ],
)
async def test_each_setting_keeps_its_own(busy: World, setting: str, table: str) -> None:
    """What is a year old stays where the setting says so, while the rest goes."""
    days = dict.fromkeys(("inbox_retention_days", "attempts_retention_days", "notifications_retention_days"), 30)
    settings = busy.services.settings.model_copy(update=days | {setting: 3650})
    before = await contents(busy)
    await remove_old(replace(busy.services, settings=settings))
    after = await contents(busy)
    kept = {name for name in before if before[name] == after.get(name)}
    old = f"{datetime.now(UTC) - A_YEAR:%Y%m}"
    months = {"inbox_bodies": f"inbox_bodies_p{old}", "messages": f"messages_p{old}", "notifications": "notifications"}
    assert {months[one] for one in months} & kept == {months[table]}
    assert f"audit_events_p{old}" in kept
