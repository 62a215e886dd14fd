"""Locking one environment: whoever waited for the lock gets the version that was made meanwhile."""

import asyncio

from domain.environments.artifacts import Running
from domain.environments.environments import EnvironmentType, NewEnvironment, Scope
from domain.environments.snapshots import Report, Snapshot
from storage.environments.commands.environments import create_environment, update_environment
from storage.environments.commands.snapshots import record_snapshot
from storage.services import Services
from tests.storage.world import World

API, WEB = (Running(name, "sha256:" + "a" * 64, "1") for name in ("api", "web"))
_IS_WAITED_FOR = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"


async def test_a_report_that_waited_is_of_the_version_that_was_made_meanwhile(own_services: Services) -> None:
    world = await World.founded(own_services)
    database = own_services.database
    async with database.transaction() as tx:
        new = NewEnvironment("production", EnvironmentType.K8S)
        made = await create_environment(tx, world.tenant, new, world.actor)

    async def report() -> Snapshot:
        async with database.transaction() as tx:
            recorded = await record_snapshot(tx, world.tenant, Report(made.id, {API: 1, WEB: 1}), world.actor)
        return recorded.snapshot

    async with database.transaction() as tx, asyncio.timeout(10):
        await update_environment(tx, world.tenant, made.id, {"scope": Scope(include_names=("api",))}, world.actor)
        reporting = asyncio.create_task(report())
        while not await tx.value(_IS_WAITED_FOR):
            await asyncio.sleep(0.01)
    snapshot = await reporting
    assert (snapshot.environment_version, snapshot.artifacts) == (2, 1)
