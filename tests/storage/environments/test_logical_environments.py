"""The members of a logical environment are sealed with each of its versions."""

import pytest

from domain.environments.environments import EnvironmentType, NewEnvironment
from domain.environments.logical_environments import NewLogicalEnvironment
from storage.environments.commands.environments import create_environment
from storage.environments.commands.logical_environments import add_member, create_logical_environment
from storage.services import Services
from tests.storage.ledger.test_tampering import inspected, seen_after
from tests.storage.world import World
from workers.seal import Sealer


@pytest.mark.parametrize(
    "change", ["'{}'", 'members || \'{"01a00000-0000-7000-8000-000000000007": "2026-01-31T12:00:00+00:00"}\'']
)
async def test_other_members_than_were_sealed_are_found(own_services: Services, change: str) -> None:
    world = await World.founded(own_services)
    async with world.services.database.transaction() as tx:
        new = NewEnvironment("member", EnvironmentType.K8S)
        member = await create_environment(tx, world.tenant, new, world.actor)
        logical = await create_logical_environment(tx, world.tenant, NewLogicalEnvironment("logical"), world.actor)
    async with world.services.database.transaction() as tx:
        await add_member(tx, world.tenant, logical.id, member.id, world.actor)
    await Sealer()(own_services)
    assert (await inspected(world)).sound
    tampering = f"UPDATE environment_versions SET members = {change} WHERE environment_id = $1 AND version = 2"
    [finding] = await seen_after(world, (tampering, logical.id))
    assert "environment" in finding
