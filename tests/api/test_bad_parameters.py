"""Bad parameters of every operation: ids, queries, pages and cursors, walked over the route table."""

from typing import get_args
from urllib.parse import quote
from uuid import UUID

import pytest
from pydantic import BaseModel

from api.http.binding import Endpoint
from api.http.wire import field_keys
from tests.api.caller import Caller, make_world
from tests.api.refusals import assert_refused
from tests.api.table import (
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
    with_parameter,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

BAD_UUIDS = ("1", "not-a-uuid", "g" * 32, "%00", "%ff%fe", "..%2f..", "%F0%9F%92%A9", "x" * 3000, "' OR 1=1 --")


@pytest.mark.parametrize("endpoint", [one for one in ENDPOINTS if uuid_parameters(one)], ids=name_of)
async def test_a_bad_uuid_in_the_path_is_named(admin: Caller, endpoint: Endpoint) -> None:
    for parameter in uuid_parameters(endpoint):
        for bad in BAD_UUIDS:
            url = url_of(endpoint, **{parameter: bad})
            answer = await admin.send(endpoint.route.method, url, json={} if endpoint.signature.body else None)
            assert_refused(answer, 400, parameter)


@pytest.mark.parametrize("endpoint", WITH_QUERY, ids=name_of)
async def test_a_bad_query_parameter_is_named(admin: Caller, endpoint: Endpoint) -> None:
    assert endpoint.signature.query is not None
    model = endpoint.signature.query.model
    for name in model.model_fields:
        alias = field_keys(model, name)[0]
        for bad in bad_texts(model, name):
            answer = await admin.send("GET", f"{url_of(endpoint)}?{quote(alias)}={bad}")
            assert answer.status == 400, (alias, bad, answer.text)
            assert_refused(answer, 400, alias)
        assert_refused(await admin.send("GET", f"{url_of(endpoint)}?{alias}=1&{alias}=1"), 400, alias)


def bad_texts(model: type[BaseModel], name: str) -> list[str]:
    field = model.model_fields[name]
    hint = field.annotation
    kinds = {getattr(kind, "__origin__", kind) for kind in (hint, *get_args(hint))}
    text = ["%00", "a%00b", "%ED%A0%80%00"]
    if int in kinds:
        return [*text, "x", "", "-1", "1.5", "1e3", "0x10", str(-(2**64)), "%EF%BC%91"]
    if kinds & {float, bool, UUID}:
        return [*text, "x", "nan", "2" * 40]
    return [*text, "x" * 256] if str in kinds else [*text, "yesterday", "5", "2026-13-01T00:00:00Z", "2026-01-01"]


PAGED = with_parameter("page")


@pytest.mark.parametrize("endpoint", PAGED, ids=name_of)
async def test_bad_pages(api: Caller, endpoint: Endpoint) -> None:
    url = asking_url(endpoint, **await make_world(api))
    limit = 100 if endpoint.route.name == "list_audit_events" else 500
    for field, bad in (("size", 0), ("size", limit + 1), ("size", 2**64), ("page", -1), ("page", 2**70)):
        assert_refused(await api.send("GET", f"{url}{field}={bad}"), 400, field)


@pytest.mark.parametrize("endpoint", with_parameter("after"), ids=name_of)
async def test_a_page_too_deep_and_a_foreign_cursor(api: Caller, endpoint: Endpoint) -> None:
    url = asking_url(endpoint, **await make_world(api))
    deep = await api.send("GET", f"{url}page=101&size=100")
    assert_refused(deep, 400, "page")
    assert "after" in deep.json["message"]
    for cursor in CURSORS:
        assert_refused(await api.send("GET", f"{url}after={quote(cursor)}"), 400, "after")


CURSORS = (
    "x",
    "!!",
    "\u00fc",
    "e30",  # {}
    "WzEsMl0",  # [1,2]
    "W10",  # []
    "bnVsbA",  # null
    "WyIyMDI2LTAxLTAxVDAwOjAwOjAwIiwieCJd",  # a time without a zone, no uuid
    "WyIwMDAxLTAxLTAxVDAwOjAwOjAwKzIzOjU5IiwgIjAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwIl0",  # before year 1
    "WyI5OTk5LTEyLTMxVDIzOjU5OjU5LTIzOjU5IiwgIjAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwIl0",  # behind year 9999
)


@pytest.mark.parametrize("endpoint", WITH_ID, ids=name_of)
async def test_what_nobody_has_is_404(api: Caller, endpoint: Endpoint) -> None:
    body = example_of(body_model(endpoint)) if endpoint.signature.body else None
    answer = await api.send(endpoint.route.method, url_of(endpoint), json=body, data=file_for(endpoint))
    if endpoint.route.name == "verify_ledger_record":
        assert (answer.status, answer.json["verified"]) == (200, False)
    else:
        assert_refused(answer, 404)


async def test_the_table_is_walked() -> None:
    """A walk over nothing would pass every test above."""
    assert {"list_flows", "list_audit_events", "get_receipt"} <= set(map(name_of, WITH_QUERY))
    assert {"list_flows", "list_flow_trails", "list_attestations", "list_ledger_entries"} <= set(map(name_of, PAGED))
    assert {"get_flow", "verify_ledger_record", "get_organisation"} <= set(map(name_of, WITH_ID))
