"""`trailgate users erase`: who is named by an address or an id is gone, and the ledgers are sound."""

from io import StringIO
from uuid import UUID, uuid4

import pytest

from domain.audit.events import Actor
from domain.identity.api_keys import NewApiKey
from domain.identity.principals import NewUser
from domain.tenant import Tenant
from storage.identity.commands.api_keys import create_api_key
from storage.identity.commands.members import add_member
from storage.identity.commands.users import create_user, delete_user
from storage.services import Services
from tests.storage.world import World
from workers.seal import Sealer


@pytest.fixture
def person(started: None, arrange) -> tuple[str, UUID, Tenant]:
    """A member with a key: the address, the id, and the organisation that manages the account."""

    async def make(services: Services) -> tuple[str, UUID, Tenant]:
        world, email = await World.founded(services), f"ada-{uuid4().hex}@example.com"
        async with services.database.transaction() as tx:
            user = await create_user(tx, world.tenant, NewUser(email, "Ada Lovelace"), world.actor)
            await add_member(tx, world.tenant, user.id, "member", world.actor)
            await create_api_key(tx, world.tenant, NewApiKey(user.id, "laptop"), world.actor)
        await Sealer()(services)
        return email, user.id, world.tenant

    return arrange(make)


def test_a_person_is_erased_and_the_ledger_is_sound(person, trailgate, arrange) -> None:
    email, user_id, _ = person
    done = trailgate("users", "erase", email.upper(), "--yes")
    assert (done.status, done.out) == (0, f"{user_id} erased\n")
    assert trailgate("users", "erase", user_id, "--yes").status == 0, "again"
    assert trailgate("users", "erase", email, "--yes").status == 2, "nobody has that address any more"
    arrange(Sealer())
    seen = trailgate("verify")
    assert seen.status == 0
    assert "2 erased events" in seen.out
    assert trailgate("rebuild", "counters").status == 0


def test_a_deleted_person_is_erased_by_the_address_as_well(person, trailgate, arrange) -> None:
    email, user_id, tenant = person

    async def delete(services: Services) -> None:
        async with services.database.transaction() as tx:
            await delete_user(tx, tenant, user_id, Actor(UUID(int=0)))

    arrange(delete)
    assert trailgate("users", "erase", email, "--yes").out == f"{user_id} erased\n"


def test_nobody_is_erased_without_a_yes(person, trailgate, monkeypatch: pytest.MonkeyPatch) -> None:
    email, user_id, _ = person
    monkeypatch.setattr("sys.stdin", StringIO("n\n"))
    asked = trailgate("users", "erase", email)
    assert asked.status == 1
    assert "Ada Lovelace" in asked.err
    assert trailgate("users", "erase", email, "--yes").out == f"{user_id} erased\n"


@pytest.mark.parametrize("who", ["nobody@example.com", "0198c0de-0000-7000-8000-00000000dead"])
def test_nobody_of_that_name(started: None, trailgate, who: str) -> None:
    refused = trailgate("users", "erase", who, "--yes")
    assert refused.status == 2
    assert who in refused.err
