"""Pages (ADR 0011): arrays with X-Total-Count and Link, page objects, cursors to the very end."""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import pytest

from storage.services import Services
from tests.api.caller import COMMIT, V1, Answer, Caller
from tests.api.webhooks.sending import github_headers, let_in

pytestmark = pytest.mark.asyncio(loop_scope="session")

ROWS = 7

Fill = Callable[[Caller], Awaitable[str]]


async def flows(api: Caller) -> str:
    for _ in range(ROWS):
        await api.make_flow()
    return "/flows"


async def trails(api: Caller) -> str:
    return f"/trails?flowId={await flow_with_trails(api)}"


async def flow_trails(api: Caller) -> str:
    return f"/flows/{await flow_with_trails(api)}/trails"


async def flow_with_trails(api: Caller) -> str:
    flow = await api.make_flow()
    for _ in range(ROWS):
        await api.make_trail(flow["id"])
    return str(flow["id"])


async def attestations(api: Caller) -> str:
    trail = await api.make_trail((await api.make_flow())["id"])
    for _ in range(ROWS):
        await api.attest(trail["id"])
    return f"/trails/{trail['id']}/attestations"


async def configs(api: Caller) -> str:
    flow = await api.make_flow()
    for _ in range(ROWS):
        await api.make_config(flow["id"])
    return "/webhook-configs"


async def deliveries(api: Caller) -> str:
    sender = await let_in(api)
    for n in range(ROWS):
        body = b'{"n": %d}' % n
        await sender.deliver(body, github_headers(body, "ping"))
    return f"/webhook-configs/{sender.config_id}/deliveries"


async def audit(api: Caller) -> str:
    trail = await api.make_trail((await api.make_flow())["id"])
    for _ in range(ROWS - 1):
        await api.attest(trail["id"])
    return f"/audit?trailId={trail['id']}"


LISTS: list[Fill] = [flows, trails, flow_trails, attestations, configs, deliveries, audit]
ARRAYS: list[Fill] = [flows, trails, configs, deliveries]
EITHER: list[Fill] = [attestations]
"""Arrays, unless `page` or `size` is given."""
PAGES: list[Fill] = [flow_trails, attestations]


def with_parameters(path: str, **parameters: Any) -> str:
    glue = "&" if "?" in path else "?"
    return path + glue + "&".join(f"{name}={value}" for name, value in parameters.items())


def rows_of(answer: Answer) -> list[Any]:
    """The rows, whatever the shape."""
    found = answer.json
    return list(found if isinstance(found, list) else found.get("items") or found.get("events") or [])


def next_of(answer: Answer) -> str | None:
    """The target of the Link header (RFC 8288)."""
    link = answer.headers.get("Link")
    if link is None:
        return None
    target, _, relation = link.partition(">; ")
    assert relation == 'rel="next"'
    return target.removeprefix("<").removeprefix(V1)


@pytest.mark.parametrize("fill", LISTS)
@pytest.mark.parametrize("size", [1, 3, ROWS - 1])
async def test_links_lead_through_the_whole_list_once(api: Caller, fill: Fill, size: int) -> None:
    path = await fill(api)
    everything = rows_of(await api.get(with_parameters(path, size=50)))
    assert len(everything) == ROWS
    found, target, pages = [], with_parameters(path, size=size), 0
    following: str | None = target
    while following:
        answer = await api.get(following)
        assert answer.headers["X-Total-Count"] == str(ROWS)
        assert len(rows_of(answer)) <= size
        found += rows_of(answer)
        following, pages = next_of(answer), pages + 1
    assert found == everything
    assert pages == -(-ROWS // size)


@pytest.mark.parametrize("fill", LISTS)
async def test_page_numbers_cut_the_same_list(api: Caller, fill: Fill) -> None:
    path = await fill(api)
    everything = rows_of(await api.get(with_parameters(path, size=50)))
    found = [rows_of(await api.get(with_parameters(path, size=3, page=page))) for page in range(4)]
    assert found == [everything[0:3], everything[3:6], everything[6:7], []]


@pytest.mark.parametrize("fill", ARRAYS + EITHER)
async def test_an_array_has_everything_by_default(api: Caller, fill: Fill) -> None:
    path = await fill(api)
    answer = await api.get(path)
    assert isinstance(answer.json, list)
    assert len(answer.json) == ROWS
    assert answer.headers["X-Total-Count"] == str(ROWS)
    assert "Link" not in answer.headers
    assert isinstance((await api.get(with_parameters(path, page=0, size=2))).json, list) is (fill in ARRAYS)


@pytest.mark.parametrize("fill", PAGES)
async def test_a_page_object_counts_itself(api: Caller, fill: Fill) -> None:
    path = await fill(api)
    page = (await api.get(with_parameters(path, page=2, size=3))).json
    told = {name: page[name] for name in page if name != "items"}
    assert told == {"page": 2, "size": 3, "totalItems": ROWS, "totalPages": 3}
    beyond = (await api.get(with_parameters(path, page=9, size=3))).json
    assert (beyond["items"], beyond["totalItems"]) == ([], ROWS)


async def test_a_link_keeps_the_other_parameters(api: Caller) -> None:
    path = await trails(api)
    answer = await api.get(with_parameters(path, size=2, page=1))
    target = next_of(answer)
    assert target is not None
    assert path.partition("?")[2] in target
    assert "size=2" in target
    assert "page=" not in target


async def test_rows_that_come_meanwhile_do_not_shift_a_cursor(api: Caller) -> None:
    sender = await let_in(api)
    path = f"/webhook-configs/{sender.config_id}/deliveries"
    for n in range(4):
        body = b'{"n": %d}' % n
        await sender.deliver(body, github_headers(body, "ping"))
    old = (await api.get(path)).json
    first = await api.get(f"{path}?size=2")
    await sender.deliver(b"{}", github_headers(b"{}", "ping"))
    second = await api.get(str(next_of(first)))
    assert first.json + second.json == old


@pytest.mark.parametrize(
    ("page", "size", "status"), [(100, 100, 200), (20, 500, 200), (21, 500, 400), (10_001, 1, 400)]
)
async def test_page_numbers_reach_ten_thousand_rows_deep(api: Caller, page: int, size: int, status: int) -> None:
    answer = await api.get(f"/flows?page={page}&size={size}", status=status)
    if status == 400:
        assert answer.fields == ["page"]


COPIES = """
INSERT INTO trails SELECT (jsonb_populate_record(t, jsonb_build_object('id', gen_random_uuid()))).*
FROM trails t, generate_series(1, 10000) WHERE t.id = $1
"""


async def test_a_filtered_total_stops_at_ten_thousand_and_says_so(api: Caller, app_services: Services) -> None:
    """ADR 0011: exact totals come from counters, those over filters stop counting."""
    trail = await api.make_trail((await api.make_flow())["id"])
    path = f"/trails?gitCommitSha={COMMIT}&size=1"
    assert (await api.get(path)).headers["X-Total-Count"] == "1"
    async with app_services.database.transaction() as tx:
        assert await tx.execute(COPIES, UUID(trail["id"])) == 10_000
    assert (await api.get(path)).headers["X-Total-Count"] == "10000+"
    assert "Link" in (await api.get(f"{path}&page=9999")).headers
