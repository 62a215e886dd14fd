"""/metrics of the API: what Postgres knows, and what is said when Postgres is gone."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from math import isnan

from aiohttp.test_utils import TestClient, TestServer
from prometheus_client.parser import text_string_to_metric_families

from api.app import build_app
from domain.retries import ErrorClass
from storage.counters import NO_PARENT, SUPPRESSED, adjust
from storage.partitions import PARTITIONED
from storage.schedule.sweeps import Sweep
from storage.services import Services
from tests.api.caller import Caller
from tests.storage.outbox.letters import destination, post, settled, take
from tests.storage.world import World
from workers.sweeps import sweep

Samples = dict[tuple[str, ...], float]


@asynccontextmanager
async def serving(services: Services) -> AsyncIterator[Caller]:
    async with TestClient(TestServer(build_app(services))) as client:
        yield Caller(client, None)


async def read(caller: Caller) -> Samples:
    """Every sample by its name and the values of its labels."""
    families = text_string_to_metric_families((await caller.get("/metrics")).text)
    return {(one.name, *one.labels.values()): one.value for family in families for one in family.samples}


def labels(samples: Samples, name: str) -> dict[str, float]:
    return {key[1]: value for key, value in samples.items() if key[0] == name}


async def test_the_outbox_is_shown(own_services: Services) -> None:
    world = await World.founded(own_services)
    async with serving(own_services) as caller:
        await post(world, await destination(world), "a", "b")
        waiting = await read(caller)
        assert waiting["trailgate_outbox_waiting",] == 2
        assert 0 < waiting["trailgate_outbox_oldest_seconds",] < 60
        await settled(own_services, await take(own_services), ErrorClass.PERMANENT)
        dead = await read(caller)
    names = ("waiting", "oldest_seconds")
    assert [dead[f"trailgate_outbox_{name}",] for name in names] == [0, 0]
    assert dead["trailgate_dead_messages",] == 2
    assert dead["trailgate_database_up",] == 1


async def test_messages_that_a_quota_suppressed_are_counted(own_services: Services) -> None:
    world = await World.founded(own_services)
    async with own_services.database.transaction() as tx:
        await adjust(tx, world.tenant, SUPPRESSED, NO_PARENT, 7)
    await sweep(own_services)
    async with serving(own_services) as caller:
        assert (await read(caller))["trailgate_suppressed_messages",] == 7


async def test_destinations_are_shown_by_their_trouble(own_services: Services) -> None:
    world = await World.founded(own_services)
    gone = (await world.rule()).rule.destination_id
    async with serving(own_services) as caller:
        sound = labels(await read(caller), "trailgate_destinations")
        await post(world, gone, "a")
        await settled(own_services, await take(own_services), ErrorClass.PERMANENT, gone=True)
        disabled = labels(await read(caller), "trailgate_destinations")
    assert sound == {"failing": 0, "paused": 0, "disabled": 0}
    assert disabled == {"failing": 0, "paused": 0, "disabled": 1}


async def test_a_sweep_is_late_until_it_has_run(own_services: Services) -> None:
    async with serving(own_services) as caller:
        before = labels(await read(caller), "trailgate_sweep_lag_seconds")
        await sweep(own_services)
        after = labels(await read(caller), "trailgate_sweep_lag_seconds")
    assert before.keys() == after.keys() == {one.value for one in Sweep}
    assert min(before.values()) > 600
    assert set(after.values()) == {0}


async def test_months_ahead_are_shown_for_every_partitioned_table(own_services: Services) -> None:
    async with serving(own_services) as caller:
        ahead = labels(await read(caller), "trailgate_partition_months_ahead")
    assert ahead.keys() == set(PARTITIONED)
    assert min(ahead.values()) >= 2


async def test_without_postgres_the_process_tells_of_itself_and_not_what_it_knew_before(own_services: Services) -> None:
    async with serving(own_services) as caller:
        known = await read(caller)
        assert not isnan(known["trailgate_inbox_waiting",])
        await own_services.database.pool.close()
        unknown = await read(caller)
    assert unknown["trailgate_database_up",] == 0
    assert unknown["trailgate_requests_total", "prometheus", "200"] >= 1
    single = ("inbox_waiting", "inbox_oldest_seconds", "dead_letters", "unsealed_events", "seal_lag_seconds")
    outgoing = ("outbox_waiting", "outbox_oldest_seconds", "dead_messages")
    assert all(isnan(unknown[f"trailgate_{name}",]) for name in (*single, *outgoing))
    for name in ("destinations", "sweep_lag_seconds", "partition_months_ahead"):
        assert labels(known, f"trailgate_{name}")
        assert not labels(unknown, f"trailgate_{name}")


async def test_a_postgres_that_does_not_answer_does_not_hold_up_the_scrape(own_services: Services) -> None:
    async with serving(own_services) as caller, own_services.database.transaction() as held:
        await held.execute("LOCK TABLE outbox IN ACCESS EXCLUSIVE MODE")
        samples = await read(caller)
    assert samples["trailgate_database_up",] == 0
