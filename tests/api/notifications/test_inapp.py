"""In-app notifications over HTTP: one list for all, read by each for itself."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest
from aiohttp.test_utils import TestClient

from domain.notifications.triggers import Severity
from storage.notifications.commands.inapp import NewNotification, notify
from storage.services import Services
from tests.api.caller import Caller, found_organisation, make_holder
from tests.api.test_paging import next_of
from tests.api.times import assert_times

pytestmark = pytest.mark.asyncio(loop_scope="session")

ALL = "/notifications"
COUNT = f"{ALL}/unread-count"
READ_ALL = f"{ALL}/read-all"
ON = {"headers": {"X-Dry-Run": "true"}}

Tell = Callable[..., Awaitable[None]]


@pytest.fixture
def tell(api: Caller, app_services: Services) -> Tell:
    async def told(*titles: str, severity: Severity = Severity.INFO, **fields: Any) -> None:
        async with app_services.database.transaction() as tx:
            await notify(tx, api.tenant, [NewNotification(title, "m", severity, **fields) for title in titles])

    return told


async def colleague(api: Caller, services: Services, role: str = "viewer") -> Caller:
    return replace(api, key=(await make_holder(services, api.tenant, role)).key)


async def titles(caller: Caller, query: str = "") -> list[str]:
    return [one["title"] for one in (await caller.get(f"{ALL}{query}")).json]


async def count(caller: Caller) -> int:
    return int((await caller.get(COUNT)).json["count"])


async def test_a_notification_has_every_field_of_the_specification(api: Caller, tell: Tell) -> None:
    assert (await api.get(ALL)).json == []
    assert await count(api) == 0
    trail = str(uuid4())
    await tell("plain", severity=Severity.CRITICAL)
    await tell("of a trail", entity_type="TRAIL", entity_id=UUID(trail))
    newest, oldest = (await api.get(ALL)).json
    assert newest.keys() == {
        "id", "title", "message", "severity", "isRead", "entityType", "entityId", "createdAt",
    }  # fmt: skip
    assert (newest["title"], newest["entityType"], newest["entityId"]) == ("of a trail", "TRAIL", trail)
    assert (oldest["title"], oldest["entityType"], oldest["entityId"]) == ("plain", None, None)
    assert (oldest["severity"], oldest["message"], oldest["isRead"]) == ("CRITICAL", "m", False)
    assert_times(newest, "createdAt")


async def test_reading_one(api: Caller, tell: Tell) -> None:
    await tell("a", "b")
    newest, _ = (await api.get(ALL)).json
    for _ in range(2):
        assert (await api.post(f"{ALL}/{newest['id']}/read", status=200)).json == newest | {"isRead": True}
    assert await titles(api, "?isRead=true") == ["b"]
    assert await titles(api, "?isRead=FALSE") == ["a"]
    assert await count(api) == 1


async def test_reading_all(api: Caller, tell: Tell) -> None:
    assert (await api.post(READ_ALL, status=204)).text == ""
    await tell("a", "b")
    await api.post(READ_ALL, status=204)
    assert await count(api) == 0
    await tell("c")
    assert await titles(api, "?isRead=false") == ["c"]
    assert await count(api) == 1


async def test_everybody_reads_for_themselves(api: Caller, app_services: Services, tell: Tell) -> None:
    await tell("a", "b")
    viewer, reporter = [await colleague(api, app_services, role) for role in ("viewer", "reporter")]
    await viewer.post(f"{ALL}/{(await viewer.get(ALL)).json[0]['id']}/read", status=200)
    await reporter.post(READ_ALL, status=204)
    assert [await count(who) for who in (api, viewer, reporter)] == [2, 1, 0]
    assert [one["isRead"] for one in (await viewer.get(ALL)).json] == [True, False]


async def test_severities_are_filtered_in_any_case(api: Caller, tell: Tell) -> None:
    await tell("a", severity=Severity.WARNING)
    await tell("b")
    await tell("c", severity=Severity.WARNING)
    for spelling in ("WARNING", "warning"):
        answer = await api.get(f"{ALL}?severity={spelling}")
        assert [one["title"] for one in answer.json] == ["c", "a"]
        assert answer.headers["X-Total-Count"] == "2"
    assert await titles(api, "?severity=INFO&isRead=true") == []
    refused = await api.get(f"{ALL}?severity=FATAL", status=400)
    assert refused.fields == ["severity"]


@pytest.mark.parametrize("query", ["?size=2", "?size=2&isRead=false", "?size=2&severity=INFO"])
async def test_pages_are_arrays_with_their_total_and_a_way_on(api: Caller, tell: Tell, query: str) -> None:
    await tell(*"abcde")
    first = await api.get(ALL + query)
    await tell("meanwhile")
    assert first.headers["X-Total-Count"] == "5"
    second = await api.get(str(next_of(first)))
    third = await api.get(str(next_of(second)))
    assert [one["title"] for page in (first, second, third) for one in page.json] == list("edcba")
    assert next_of(third) is None
    assert (await api.get(f"{next_of(first)}&page=1")).json == second.json
    assert await titles(api, f"{query}&page=1") == ["d", "c"]
    assert await titles(api, f"{query}&page=9") == []


async def test_a_cursor_to_what_retention_removed_leads_to_the_end(
    api: Caller, app_services: Services, tell: Tell
) -> None:
    await tell(*"abc")
    first = await api.get(f"{ALL}?size=1")
    async with app_services.database.transaction() as tx:
        await tx.execute("DELETE FROM notifications WHERE org_id = $1", api.tenant.org_id)
        await tx.execute("UPDATE notification_streams SET first_n = 4 WHERE org_id = $1", api.tenant.org_id)
    answer = await api.get(str(next_of(first)))
    assert (answer.json, answer.headers["X-Total-Count"]) == ([], "0")


async def test_another_organisations_notifications_do_not_exist(
    http: TestClient[Any, Any], api: Caller, app_services: Services, tell: Tell
) -> None:
    await tell("a", "b")
    [newest, _] = (await api.get(ALL)).json
    stranger = await found_organisation(http, app_services)
    await stranger.post(f"{ALL}/{newest['id']}/read", status=404)
    await stranger.post(READ_ALL, status=204)
    assert ((await stranger.get(ALL)).json, await count(stranger)) == ([], 0)
    assert await count(api) == 2
    await api.post(f"{ALL}/{uuid4()}/read", status=404)


async def test_dry_runs_mark_nothing(api: Caller, tell: Tell) -> None:
    await tell("a", "b")
    newest, _ = (await api.get(ALL)).json
    one = (await api.post(f"{ALL}/{newest['id']}/read", status=200, **ON)).json
    assert one["wouldUpdate"] == newest | {"isRead": True}
    assert (await api.post(READ_ALL, status=200, **ON)).json["wouldUpdate"] == {"count": 0}
    await api.post(f"{ALL}/{uuid4()}/read", status=404, **ON)
    assert await count(api) == 2


async def test_nobody_reads_without_a_credential(api: Caller) -> None:
    nobody = replace(api, key=None)
    for path in (ALL, COUNT, f"{ALL}/stream"):
        await nobody.get(path, status=401)
    for path in (READ_ALL, f"{ALL}/{uuid4()}/read"):
        await nobody.post(path, status=401)
