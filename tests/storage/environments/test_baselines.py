"""Baselines that were approved at once follow each other in time."""

from datetime import timedelta

from domain.environments.baselines import Baseline, NewBaseline
from domain.environments.environments import EnvironmentType, NewEnvironment
from storage.environments.commands.baselines import create_baseline
from storage.environments.commands.environments import create_environment
from storage.environments.queries.baselines import list_baselines
from storage.paging import Window
from storage.services import Services
from tests.storage.shifted import later
from tests.storage.world import World


async def test_a_baseline_whose_transaction_began_first_is_later_than_the_one_it_replaces(
    own_services: Services,
) -> None:
    world = await World.founded(own_services)
    async with own_services.database.transaction() as tx:
        new = NewEnvironment("production", EnvironmentType.GENERIC)
        environment = await create_environment(tx, world.tenant, new, world.actor)

    async def approved(services: Services) -> Baseline:
        async with services.database.transaction() as tx:
            return await create_baseline(tx, world.tenant, NewBaseline(environment.id), world.actor)

    first = await approved(later(own_services, timedelta(seconds=1)))
    second = await approved(own_services)
    async with own_services.database.read() as reader:
        page = await list_baselines(reader, world.tenant, Window(2, descending=True), environment_id=environment.id)
    assert [(one.id, one.is_active) for one in page.items] == [(second.id, True), (first.id, False)]
    assert page.items[1].archived_at == second.created_at > first.created_at
