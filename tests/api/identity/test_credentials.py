"""A credential is known for a moment: who changes it must see it change in every process, whatever is lost."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest
from aiohttp.test_utils import TestClient, TestServer

from api.app import build_app
from api.identity import credentials
from domain.identity.api_keys import NewApiKey, random_key
from domain.identity.principals import NewPrincipal
from storage.database import PAUSE_LISTEN
from storage.identity.commands.api_keys import create_api_key, revoke_api_key
from storage.identity.commands.principals import create_principal
from storage.services import Services
from tests.api.caller import NOBODY, Caller, Holder, found_organisation, make_holder
from tests.api.test_statements import statements

pytestmark = pytest.mark.asyncio

PATH = "/flows"

Clock = Callable[[float], None]


@pytest.fixture
async def processes(own_services: Services) -> AsyncIterator[list[TestClient[Any, Any]]]:
    """Two API processes over one database."""
    async with AsyncExitStack() as stack:
        servers = [TestServer(build_app(own_services)) for _ in range(2)]
        yield [await stack.enter_async_context(TestClient(server)) for server in servers]


@pytest.fixture
async def founder(processes: list[TestClient[Any, Any]], own_services: Services) -> Caller:
    return await found_organisation(processes[0], own_services)


@pytest.fixture
async def holder(founder: Caller, own_services: Services) -> Holder:
    return await make_holder(own_services, founder.tenant, "developer")


async def statuses(processes: list[TestClient[Any, Any]], key: str) -> set[int]:
    return {(await Caller(process, key).send("GET", PATH)).status for process in processes}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Time stands still for what is known, until it is moved on by seconds: nothing is forgotten for its age."""
    began = monotonic()

    def move(seconds: float) -> None:
        monkeypatch.setattr(credentials, "monotonic", lambda: began + seconds)

    move(0)
    return move


async def refused(processes: list[TestClient[Any, Any]], key: str) -> None:
    """Once every process does so; by the clock of the test it is the same moment."""
    async with asyncio.timeout(5):
        while await statuses(processes, key) != {401}:
            pass


async def revoke(services: Services, founder: Caller, holder: Holder) -> None:
    async with services.database.transaction() as tx:
        await revoke_api_key(tx, founder.tenant, holder.key_id, NOBODY)


async def listeners(services: Services) -> list[int]:
    """The PostgreSQL backends that listen."""
    async with services.database.read() as reader:
        found = await reader.rows(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN %'"
        )
    return [row["pid"] for row in found]


async def test_a_key_is_looked_up_once_for_many_requests(
    clock: Clock, processes: list[TestClient[Any, Any]], founder: Caller, own_services: Services
) -> None:
    async with statements(own_services) as seen:
        for _ in range(20):
            await founder.get(PATH)
    assert len([sql for sql in seen if "JOIN memberships" in sql]) <= 1


async def test_a_key_that_was_unknown_a_moment_ago_is_good_at_once(
    processes: list[TestClient[Any, Any]], founder: Caller, own_services: Services
) -> None:
    key = random_key()
    assert await statuses(processes, key) == {401}
    async with own_services.database.transaction() as tx:
        principal_id = await create_principal(tx, founder.tenant, NewPrincipal("service", "ci", "developer"), NOBODY)
        await create_api_key(tx, founder.tenant, NewApiKey(principal_id, "ci", text=key), NOBODY)
    assert await statuses(processes, key) == {200}


async def test_a_revoked_key_is_refused_at_once_by_every_process(
    clock: Clock, processes: list[TestClient[Any, Any]], founder: Caller, holder: Holder, own_services: Services
) -> None:
    assert await statuses(processes, holder.key) == {200}
    await revoke(own_services, founder, holder)
    await refused(processes, holder.key)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE principals SET disabled_at = now() WHERE id = $1",
        "DELETE FROM memberships WHERE principal_id = $1",
    ],
)
async def test_a_change_of_the_owner_holds_at_once(
    clock: Clock, processes: list[TestClient[Any, Any]], holder: Holder, own_services: Services, change: str
) -> None:
    assert await statuses(processes, holder.key) == {200}
    async with own_services.database.transaction() as tx:
        await tx.execute(change, holder.principal_id)
    await refused(processes, holder.key)


async def test_a_revoked_key_is_refused_within_a_second_when_the_announcement_is_lost(
    clock: Clock, processes: list[TestClient[Any, Any]], founder: Caller, holder: Holder, own_services: Services
) -> None:
    async with own_services.database.transaction() as tx:
        await tx.execute("ALTER TABLE api_keys DISABLE TRIGGER announce_credential_change")
    assert await statuses(processes, holder.key) == {200}
    await revoke(own_services, founder, holder)
    clock(0.5)
    assert await statuses(processes, holder.key) == {200}
    clock(1.0)
    assert await statuses(processes, holder.key) == {401}


async def test_a_process_listens_again_after_its_connection_was_lost(
    clock: Clock, processes: list[TestClient[Any, Any]], founder: Caller, holder: Holder, own_services: Services
) -> None:
    assert await statuses(processes, holder.key) == {200}
    lost = await listeners(own_services)
    assert len(lost) == len(processes)
    async with own_services.database.transaction() as tx:
        await tx.rows("SELECT pg_terminate_backend(pid) FROM unnest($1::int[]) pid", lost)
    async with asyncio.timeout(5):
        while len(set(await listeners(own_services)) - set(lost)) < len(processes):
            await asyncio.sleep(0.05)
    assert await statuses(processes, holder.key) == {200}
    await revoke(own_services, founder, holder)
    await refused(processes, holder.key)


async def test_a_process_listens_again_after_the_database_refused_it(
    processes: list[TestClient[Any, Any]], own_services: Services
) -> None:
    """With an error that is none of those that pass by themselves."""
    name = urlsplit(own_services.settings.database_url or "").path.removeprefix("/")
    outside = await asyncpg.connect(own_services.settings.database_url, database="postgres")
    async with asyncio.timeout(5):
        while len(lost := await listeners(own_services)) < len(processes):
            await asyncio.sleep(0.05)
    await outside.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    try:
        await outside.fetch("SELECT pg_terminate_backend(pid) FROM unnest($1::int[]) pid", lost)
        await asyncio.sleep(3 * PAUSE_LISTEN)
        assert await listeners(own_services) == []
    finally:
        await outside.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        await outside.close()
    async with asyncio.timeout(5):
        while len(await listeners(own_services)) < len(processes):
            await asyncio.sleep(0.05)


async def test_a_change_of_one_organisation_forgets_no_key_of_another(
    clock: Clock, processes: list[TestClient[Any, Any]], founder: Caller, holder: Holder, own_services: Services
) -> None:
    stranger = await found_organisation(processes[0], own_services)
    await stranger.get(PATH)
    await founder.get(PATH)
    async with statements(own_services) as seen:
        await revoke(own_services, founder, holder)
        await asyncio.sleep(0.1)
        await stranger.get(PATH)
    assert [sql for sql in seen if "JOIN memberships" in sql] == []
