"""Lists take a bounded number of SQL statements whatever the page size (ARCHITECTURE.md 7)."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
import pytest_asyncio
from aiohttp.test_utils import TestClient
from asyncpg.connection import LoggedQuery

from api.http.binding import Endpoint
from storage.services import Services
from tests.api.caller import DIGEST, Caller, found_organisation, make_world
from tests.api.table import asking_url, name_of, with_parameter
from tests.api.webhooks.sending import github_headers
from workers.seal import seal_and_sign

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROWS = 30
MOST = 5
"""The caller, the parent's existence, the page, and at most two for its total."""
LISTS = with_parameter("size")


@asynccontextmanager
async def statements(services: Services) -> AsyncIterator[list[str]]:
    """Every statement that the pool's connections run meanwhile."""
    seen: list[str] = []

    def note(query: LoggedQuery) -> None:
        seen.append(query.query)

    connections = await all_connections(services, lambda connection: connection.add_query_logger(note))
    try:
        yield seen
    finally:
        assert await all_connections(services, lambda connection: connection.remove_query_logger(note)) == connections


async def all_connections(services: Services, change: Any) -> int:
    """Holds every connection the pool may have, so that none is missed."""
    async with AsyncExitStack() as held:
        for _ in range(services.settings.database_pool):
            change(await held.enter_async_context(services.database.pool.acquire()))
    return services.settings.database_pool


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def filled(http: TestClient[Any, Any], open_for_module: Services) -> tuple[Caller, dict[str, str]]:
    """An organisation with thirty rows in every list."""
    api = await found_organisation(http, open_for_module)
    world = await make_world(api)
    strict = await api.make_flow(requiredAttestations=["BUILD"])
    for n in range(ROWS):
        await api.make_trail(strict["id"])
        await api.report_artifact(world["trail_id"], imageTag=f"1.{n}")
        await api.post(f"/trails/{world['trail_id']}/coverage", {"tool": "jacoco"})
        await api.make_trail(world["flow_id"])
        await api.make_config(world["flow_id"])
        await api.attest(world["trail_id"])
        await api.upload(world["attestation_id"])
        body = b'{"n": %d}' % n
        path = f"/webhooks/github/{world['config_id']}"
        await api.post(path, status=202, data=body, headers=github_headers(body, "ping"))
        await api.make_flow()
        await api.make_provenance_key()
        await api.make_notification()
        await api.make_rule()
        await api.post(f"/notification-rules/{world['rule_id']}/test", status=202)
        await api.post("/assert", {"flowId": world["flow_id"], "sha256Digest": DIGEST}, 200)
        await seal_and_sign(open_for_module)  # a checkpoint each
    return api, world


@pytest.mark.parametrize("endpoint", LISTS, ids=name_of)
async def test_a_list_takes_as_many_statements_for_thirty_rows_as_for_one(
    filled: tuple[Caller, dict[str, str]], open_for_module: Services, endpoint: Endpoint
) -> None:
    api, world = filled
    counts, rows = [], []
    for size in (1, ROWS):
        async with statements(open_for_module) as seen:
            answer = await api.get(f"{asking_url(endpoint, **world)}size={size}")
        counts.append(len(seen))
        found = answer.json
        lists = [found] if isinstance(found, list) else [one for one in found.values() if isinstance(one, list)]
        rows.append(len(lists[0]))
    seen_by_its_admin = 1 if endpoint.route.name == "list_organisations" else ROWS
    assert rows == [1, seen_by_its_admin]
    assert counts[0] == counts[1]
    assert 2 <= counts[0] <= MOST, seen


async def test_recording_an_attestation_takes_a_handful_of_statements(api: Caller, open_for_module: Services) -> None:
    """One transaction of set-based statements; the number must not grow with what the trail has already."""
    trail = await api.make_trail((await api.make_flow())["id"])
    counts = []
    for _ in range(2):
        async with statements(open_for_module) as seen:
            await api.attest(trail["id"])
        counts.append(len(seen))
        for _ in range(ROWS):
            await api.attest(trail["id"])
    assert counts[1] <= counts[0] <= 8, seen
