"""Leases of dead workers are released when it is certain that nobody holds them."""

from datetime import timedelta
from uuid import uuid4

from storage.inbox.commands import claim
from storage.leases import release_leases
from storage.services import Services
from tests.storage.outbox.letters import destination, post, take
from tests.storage.world import World

LEASE = timedelta(hours=1)


async def test_what_was_leased_is_due_at_once_and_its_attempt_still_counts(own_services: Services) -> None:
    world = await World.founded(own_services)
    config = await world.config(await world.flow())
    [receipt] = await world.deliver(world.arrival(config, "leased"))
    messages = await post(world, await destination(world), "a", "a", "b")
    async with own_services.database.transaction() as tx:
        await claim(tx, uuid4(), 10, LEASE)
    assert (await take(own_services)).ids == messages
    async with own_services.database.transaction() as tx:
        assert await release_leases(tx) == 4
        assert [(one.id, one.attempts) for one in await claim(tx, uuid4(), 10, LEASE)] == [(receipt.id, 2)]
    assert [(one.id, one.attempts) for one in (await take(own_services)).messages] == [(one, 2) for one in messages]
