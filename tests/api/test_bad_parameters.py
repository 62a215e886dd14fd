"""Bad parameters of every operation: ids, queries, pages and cursors, walked over the route table."""

from base64 import urlsafe_b64encode
from typing import get_args
from urllib.parse import quote
from uuid import UUID

import pytest
from pydantic import BaseModel

from api.http.binding import Endpoint
from api.http.wire import field_keys
from tests.api.caller import Caller
from tests.api.refusals import assert_refused
from tests.api.table import (
    EMPTY_OF_NOBODY,
    ENDPOINTS,
    WITH_ID,
    WITH_QUERY,
    asking_url,
    body_model,
    example_of,
    file_for,
    name_of,
    url_of,
    uuid_parameters,
    wanted_by,
    with_parameter,
)
from tests.api.walks import TO_MAKE, Walk
from tests.api.world import make_world

pytestmark = pytest.mark.asyncio(loop_scope="session")

BAD_UUIDS = ("1", "not-a-uuid", "g" * 32, "%00", "%ff%fe", "..%2f..", "%F0%9F%92%A9", "x" * 3000, "' OR 1=1 --")
BAD_IDS = Walk(
    tuple(one for one in ENDPOINTS if uuid_parameters(one)),
    requests=lambda endpoint: len(uuid_parameters(endpoint)) * len(BAD_UUIDS),
)


@BAD_IDS.routes()
async def test_a_bad_uuid_in_the_path_is_named(admin: Caller, endpoint: Endpoint) -> None:
    for parameter in uuid_parameters(endpoint):
        for bad in BAD_UUIDS:
            url = url_of(endpoint, **{parameter: bad})
            answer = await admin.send(endpoint.route.method, url, json={} if endpoint.signature.body else None)
            assert_refused(answer, 400, parameter)


def bad_texts(model: type[BaseModel], name: str) -> list[str]:
    field = model.model_fields[name]
    hint = field.annotation
    kinds = {getattr(kind, "__origin__", kind) for kind in (hint, *get_args(hint))}
    text = ["%00", "a%00b", "%ED%A0%80%00"]
    if int in kinds:
        return [*text, "x", "", "-1", "1.5", "1e3", "0x10", str(-(2**64)), "%EF%BC%91"]
    if kinds & {float, bool, UUID}:
        return [*text, "x", "nan", "2" * 40]
    longest = next((one.max_length for one in field.metadata if hasattr(one, "max_length")), 255)
    return (
        [*text, "x" * (longest + 1)]
        if str in kinds
        else [*text, "yesterday", "5", "2026-13-01T00:00:00Z", "2026-01-01"]
    )


def bad_queries(endpoint: Endpoint) -> list[tuple[str, str]]:
    """Each parameter with the query strings that are none of it; the last one gives it twice."""
    assert endpoint.signature.query is not None
    model = endpoint.signature.query.model
    found = []
    for name in model.model_fields:
        alias = field_keys(model, name)[0]
        found += [(alias, f"{quote(alias)}={bad}") for bad in bad_texts(model, name)]
        found.append((alias, f"{alias}=1&{alias}=1"))
    return found


BAD_QUERIES = Walk(WITH_QUERY, requests=lambda endpoint: len(bad_queries(endpoint)))


@BAD_QUERIES.routes()
async def test_a_bad_query_parameter_is_named(admin: Caller, endpoint: Endpoint) -> None:
    for alias, query in bad_queries(endpoint):
        answer = await admin.send(endpoint.route.method, f"{url_of(endpoint)}?{query}")
        assert answer.status == 400, (alias, query, answer.text)
        assert_refused(answer, 400, alias)


PAGED = with_parameter("page")
BAD_PAGES = Walk(PAGED, requests=5 + TO_MAKE)


@BAD_PAGES.routes()
async def test_bad_pages(api: Caller, endpoint: Endpoint) -> None:
    url = asking_url(endpoint, **await make_world(api, *wanted_by(endpoint)))
    limit = 100 if endpoint.route.name == "list_audit_events" else 500
    for field, bad in (("size", 0), ("size", limit + 1), ("size", 2**64), ("page", -1), ("page", 2**70)):
        assert_refused(await api.send("GET", f"{url}{field}={bad}"), 400, field)


def cursor(text: str) -> str:
    """As the server encodes its own."""
    return urlsafe_b64encode(text.encode()).decode().rstrip("=")


NO_ID = "00000000000000000000000000000000"
CURSORS = (
    "x",
    "!!",
    "\u00fc",
    cursor("{}"),
    cursor("[1,2]"),
    cursor("[]"),
    cursor("null"),
    cursor('["2026-01-01T00:00:00","x"]'),  # a time without a zone, no uuid
    cursor(f'["0001-01-01T00:00:00+23:59", "{NO_ID}"]'),  # before year 1
    cursor(f'["9999-12-31T23:59:59-23:59", "{NO_ID}"]'),  # behind year 9999
)
DEEP_PAGES = Walk(with_parameter("after"), requests=1 + len(CURSORS) + TO_MAKE)


@DEEP_PAGES.routes()
async def test_a_page_too_deep_and_a_foreign_cursor(api: Caller, endpoint: Endpoint) -> None:
    url = asking_url(endpoint, **await make_world(api, *wanted_by(endpoint)))
    deep = await api.send("GET", f"{url}page=101&size=100")
    assert_refused(deep, 400, "page")
    assert "after" in deep.json["message"]
    for foreign in CURSORS:
        assert_refused(await api.send("GET", f"{url}after={quote(foreign)}"), 400, "after")


UNKNOWN_IDS = Walk(WITH_ID, requests=1)


@UNKNOWN_IDS.routes()
async def test_what_nobody_has_is_404(api: Caller, endpoint: Endpoint) -> None:
    body = example_of(body_model(endpoint)) if endpoint.signature.body else None
    answer = await api.send(endpoint.route.method, asking_url(endpoint), json=body, data=file_for(endpoint))
    if endpoint.route.name in EMPTY_OF_NOBODY:
        assert (answer.status, answer.json) == (200, [])
    elif endpoint.route.name == "verify_ledger_record":
        assert (answer.status, answer.json["verified"]) == (200, False)
    else:
        assert_refused(answer, 404)


async def test_the_table_is_walked() -> None:
    """A walk over nothing would pass every test above."""
    assert {"list_flows", "list_audit_events", "get_receipt"} <= set(map(name_of, WITH_QUERY))
    assert {"list_flows", "list_flow_trails", "list_attestations", "list_ledger_entries"} <= set(map(name_of, PAGED))
    assert {"get_flow", "verify_ledger_record", "get_organisation"} <= set(map(name_of, WITH_ID))
