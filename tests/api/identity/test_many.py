"""An organisation of ten thousand: every page of its lists costs what the first one costs."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio
from aiohttp.test_utils import TestClient
from asyncpg.connection import LoggedQuery

from storage.paging import Cursor
from storage.services import Services
from tests.api.caller import Caller, found_organisation
from tests.api.identity.test_members import key_of, make_member
from tests.api.test_statements import BESIDE, all_connections

pytestmark = pytest.mark.asyncio(loop_scope="session")

MANY, SIZE = 10_000, 50

_COPIES = """
INSERT INTO {table} SELECT (jsonb_populate_record(t, jsonb_build_object(
  'created_at', t.created_at + n * interval '1 ms', {changed}))).*
FROM {table} t, generate_series(1, $2) n WHERE t.{owner} = $1
"""
FILL = [
    _COPIES.format(table=table, owner=owner, changed=changed)
    for table, owner, changed in (
        (
            "principals",
            "id",
            "'id', md5($1::uuid::text || n)::uuid, 'username', $1::uuid::text || n, 'email', $1::uuid::text || n",
        ),
        ("memberships", "principal_id", "'id', gen_random_uuid(), 'principal_id', md5($1::uuid::text || n)::uuid"),
        ("api_keys", "principal_id", "'id', gen_random_uuid(), 'sha256', sha256(($1::uuid::text || n)::bytea)"),
    )
]
"""Copy one person, the membership and the key."""
COUNT = """
INSERT INTO counter_deltas (id, org_id, kind, parent_id, d)
SELECT gen_random_uuid(), $1, kind, '00000000-0000-0000-0000-000000000000', $2
FROM unnest('{users,members}'::text[]) kind
"""


@dataclass(frozen=True)
class Crowd:
    """An organisation with ten thousand users, as many members, and as many keys of one of them."""

    api: Caller
    lists: Mapping[str, str]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def crowd(http: TestClient[Any, Any], app_services: Services) -> Crowd:
    api = await found_organisation(http, app_services)
    member = await make_member(api)
    await key_of(api, member)
    async with app_services.database.transaction() as tx:
        for statement in FILL:
            assert await tx.execute(statement, UUID(member["userId"]), MANY) == MANY
        await tx.execute(COUNT, api.tenant.org_id, MANY)
        for table in ("principals", "memberships", "api_keys"):
            await tx.execute(f"ANALYZE {table}")
    members = f"/organisations/{api.tenant.org_slug}/members"
    return Crowd(api, {"users": "/users", "members": members, "keys": f"/api-keys/owners/{member['userId']}"})


@asynccontextmanager
async def asked(services: Services) -> AsyncIterator[list[LoggedQuery]]:
    """The statements that requests run meanwhile, with their arguments."""
    seen: list[LoggedQuery] = []

    def note(query: LoggedQuery) -> None:
        if query.query.lstrip().startswith("SELECT") and query.query not in BESIDE and "k.sha256" not in query.query:
            seen.append(query)

    await all_connections(services, lambda connection: connection.add_query_logger(note))
    try:
        yield seen
    finally:
        await all_connections(services, lambda connection: connection.remove_query_logger(note))


async def pages_read(services: Services, queries: list[LoggedQuery]) -> int:
    """How many pages of memory or disk PostgreSQL looks at for these statements."""
    total = 0
    async with services.database.read() as reader:
        for one in queries:
            told = await reader.value(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {one.query}", *one.args)
            plan = (json.loads(told) if isinstance(told, str) else told)[0]["Plan"]
            total += plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
    return total


ROWS = {
    "users": "principals WHERE org_id = $1 AND kind = 'user' AND name IS NOT NULL",
    "members": "memberships WHERE org_id = $1 AND kind = 'user'",
    "keys": "api_keys WHERE org_id = $1 AND principal_id IN (SELECT principal_id FROM memberships WHERE kind = 'user')",
}


async def row_before(services: Services, crowd: Crowd, what: str, place: int) -> Cursor:
    sql = f"SELECT created_at, id FROM {ROWS[what]} ORDER BY created_at, id OFFSET $2 LIMIT 1"
    async with services.database.read() as reader:
        [row] = await reader.rows(sql, crowd.api.tenant.org_id, place - 1)
    return Cursor(row["created_at"], row["id"])


@pytest.mark.parametrize("what", ROWS)
async def test_the_last_page_costs_what_the_first_one_costs(app_services: Services, crowd: Crowd, what: str) -> None:
    first = f"{crowd.lists[what]}?size={SIZE}"
    rest = [f"{first}&after={await row_before(app_services, crowd, what, n)}" for n in (MANY // 2, MANY - 9)]
    costs, shown = [], []
    for path in (first, *rest):
        async with asked(app_services) as queries:
            answer = await crowd.api.get(path)
        assert int(answer.headers["X-Total-Count"].rstrip("+")) >= MANY
        shown.append(len(answer.json))
        costs.append(await pages_read(app_services, queries))
    assert shown == [SIZE, SIZE, 10]
    assert max(costs) <= costs[0] * 1.2, costs
    assert 0 < costs[0] <= 10 * SIZE, f"it reads its own rows, not the list: {costs}"
