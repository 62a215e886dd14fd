"""What a start finds or creates."""

from domain.audit.events import Actor
from domain.identity.principals import NewUser
from domain.tenant import Tenant
from storage.identity.bootstrap import Bootstrap, bootstrap
from storage.identity.commands.members import add_member
from storage.identity.commands.users import create_user, delete_user
from storage.services import Services


async def start(services: Services) -> tuple[Bootstrap, list[str]]:
    """A start, with the key that it shows."""
    keys: list[str] = []
    found = await bootstrap(services.database, None, services.signer, services.envelope, show_key=keys.append)
    return found, keys


async def test_the_first_administrator_may_leave_and_the_next_start_succeeds(own_services: Services) -> None:
    found, keys = await start(own_services)
    assert len(keys) == 1
    tenant, actor = Tenant(found.org_id, "default"), Actor(found.admin_id)
    async with own_services.database.transaction() as tx:
        successor = await create_user(tx, tenant, NewUser("ada@example.com", "Ada"), actor)
        await add_member(tx, tenant, successor.id, "admin", actor)
        await delete_user(tx, tenant, found.admin_id, actor)
    assert await start(own_services) == (found, []), "no key for somebody who left"
