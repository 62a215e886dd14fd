"""What a handler receives and what a client gets, over real HTTP."""

import json
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from aiohttp.test_utils import TestClient, make_mocked_request
from pydantic import BaseModel, ConfigDict
from pytest_aiohttp import AiohttpClient

from api.http.arguments import Fields
from api.http.calls import SERVICES, Call
from domain.errors import Invalid, Unauthenticated
from tests.api.http.sample import FLOW_ID, FlowIn, create_flow, sample_app

ADMIN = {"X-API-Key": "admin"}


@pytest.fixture
async def client(aiohttp_client: AiohttpClient, tmp_path: Path) -> TestClient[Any, Any]:
    return await aiohttp_client(sample_app(tmp_path), headers=ADMIN)


async def fields(response: Any) -> list[str]:
    assert response.status == 400, await response.text()
    return [one["field"] for one in (await response.json())["details"]]


async def test_body_is_validated_and_answered_in_camel_case(client: TestClient[Any, Any]) -> None:
    sent = {"name": "x", "initialStatus": "non-compliant", "startedAt": "2026-01-01T00:00:00+02:00", "unknown": 1}
    response = await client.post("/api/v1/flows", json=sent)
    assert response.status == 201
    assert response.content_type == "application/json"
    assert await response.json() == {
        "id": str(FLOW_ID),
        "name": "x",
        "initialStatus": "NON_COMPLIANT",
        "isActive": True,
        "weight": None,
        "startedAt": "2025-12-31T22:00:00.000000Z",
        "free": None,
        "dryRun": False,
    }


async def test_body_errors_name_fields_as_the_client_spelled_them(client: TestClient[Any, Any]) -> None:
    sent = {"name": "", "initialStatus": "nope", "isActive": [], "weight": "w", "free": {"deep": 1}}
    response = await client.post("/api/v1/flows", json=sent)
    assert await fields(response) == ["name", "initialStatus", "isActive", "weight"]
    assert "(and 3 more)" in (await response.json())["message"]
    assert await fields(await client.post("/api/v1/flows", json={})) == ["name"]


async def test_error_answers_never_repeat_the_input(client: TestClient[Any, Any]) -> None:
    response = await client.post("/api/v1/flows", json={"name": {"password": "hunter2"}, "weight": "hunter2"})
    assert response.status == 400
    assert "hunter2" not in await response.text()


async def test_at_most_twenty_errors_with_short_paths(client: TestClient[Any, Any]) -> None:
    response = await client.post("/api/v1/imports", json=[{}] * 50)
    named = await fields(response)
    assert named == [f"{place}.name" for place in range(20)]
    assert "(and 49 more)" in (await response.json())["message"]


async def test_path_parameters_are_converted(client: TestClient[Any, Any]) -> None:
    response = await client.put(f"/api/v1/flows/{FLOW_ID}/PENDING/3")
    assert response.status == 202
    assert response.headers["Location"] == f"/api/v1/flows/{FLOW_ID}"
    assert response.headers["X-Times"] == "3"
    refused = await client.put("/api/v1/flows/nope/nope/nope")
    assert await fields(refused) == ["flow_id", "status", "times"]


async def test_path_regex_takes_what_plain_parameters_cannot(client: TestClient[Any, Any]) -> None:
    for expression in ("prod@{2.hours.ago}", "a/b", "a%2Fb"):
        response = await client.get(f"/api/v1/snapshots/{expression}")
        assert (await response.json())["expression"] == expression.replace("%2F", "/")


async def test_query_defaults_lists_and_aliases(client: TestClient[Any, Any]) -> None:
    assert await (await client.get("/api/v1/flows")).json() == {
        "items": [], "page": 0, "size": 20, "totalItems": 0, "status": [],
    }  # fmt: skip
    response = await client.get("/api/v1/flows?status=pending&status=non_compliant&size=5&whatever=1")
    assert (await response.json())["status"] == ["PENDING", "NON_COMPLIANT"]
    assert (await client.get(f"/api/v1/flows?page[after]={uuid4()}")).status == 200
    assert await fields(await client.get("/api/v1/flows?page[after]=x&size=0")) == ["size", "page[after]"]


async def test_open_query_models_get_every_name() -> None:
    class Filter(BaseModel):
        model_config = ConfigDict(extra="allow")

        page: int = 0

    fields_of_filter = Fields(Filter)
    assert fields_of_filter.gather([("page", "1"), ("filter[x]", "y")]) == {"page": "1", "filter[x]": "y"}
    for pairs in ([("filter\0", "y")], [("a", "1"), ("a", "2")], [("a", "\udcff")]):
        with pytest.raises(Invalid):
            fields_of_filter.gather(pairs)


async def test_a_single_query_value_given_twice_is_refused(client: TestClient[Any, Any]) -> None:
    response = await client.get("/api/v1/flows?size=1&size=2")
    assert await fields(response) == ["size"]
    assert "given twice" in await response.text()


async def test_a_header_given_twice_in_the_query_is_refused(client: TestClient[Any, Any]) -> None:
    response = await client.post("/api/v1/flows?dryRun=false&dryRun=true", json={"name": "a"})
    assert await fields(response) == ["dryRun"]
    assert "given twice" in await response.text()


@pytest.mark.parametrize(
    ("headers", "query", "expected"),
    [
        ({}, "", False),
        ({"X-Dry-Run": "true"}, "", True),
        ({"x-factstore-dry-run": "TRUE"}, "", True),
        ({}, "?dryRun=true", True),
        ({"X-Dry-Run": "false"}, "?dryRun=true", False),
    ],
)
async def test_header_with_aliases_and_query(
    client: TestClient[Any, Any], headers: dict[str, str], query: str, *, expected: bool
) -> None:
    response = await client.post(f"/api/v1/flows{query}", json={"name": "x"}, headers=headers)
    assert (await response.json())["dryRun"] is expected


async def test_header_errors_name_the_header(client: TestClient[Any, Any]) -> None:
    response = await client.post("/api/v1/flows", json={"name": "x"}, headers={"X-Dry-Run": "perhaps"})
    assert await fields(response) == ["X-Dry-Run"]
    twice = [("X-Dry-Run", "true"), ("X-Dry-Run", "false"), ("X-API-Key", "admin")]
    assert await fields(await client.post("/api/v1/flows", json={"name": "x"}, headers=twice)) == ["X-Dry-Run"]


async def test_none_is_204_and_head_follows_get(client: TestClient[Any, Any]) -> None:
    deleted = await client.delete(f"/api/v1/flows/{FLOW_ID}")
    assert (deleted.status, await deleted.read()) == (204, b"")
    head = await client.head(f"/api/v1/flows/{FLOW_ID}")
    body = await (await client.get(f"/api/v1/flows/{FLOW_ID}")).read()
    assert (head.status, await head.read(), int(head.headers["Content-Length"])) == (200, b"", len(body))


async def test_raw_body_reaches_an_exempt_handler_untouched(client: TestClient[Any, Any]) -> None:
    response = await client.post("/api/v1/receive", data=b"\xff\x00{", headers={"X-API-Key": "wrong"})
    assert (response.status, await response.read()) == (202, b"")
    assert response.headers["X-Length"] == "3"
    assert response.headers["X-Anonymous"] == "True"


async def test_optional_body_may_be_json_form_or_missing(client: TestClient[Any, Any]) -> None:
    sent: list[tuple[dict[str, Any], list[str]]] = [
        ({}, []),
        ({"json": [{"name": "a"}, {"name": "b"}]}, ["a", "b"]),
        ({"data": {"user": "u", "scope": "s"}}, ["u", "s"]),
    ]
    for kwargs, expected in sent:
        response = await client.post("/api/v1/imports", **kwargs)
        assert (response.status, await response.json()) == (200, expected)


async def test_a_streamed_response_passes_through_with_its_request_id(client: TestClient[Any, Any]) -> None:
    response = await client.get("/api/v1/stream/whole", headers={"X-Request-Id": "abc"})
    assert await response.read() == b"first half, second half"
    assert response.headers["X-Request-Id"] == "abc"


@pytest.mark.parametrize("given", ["A-b_c.9", "x" * 64])
async def test_a_wellformed_request_id_is_kept(client: TestClient[Any, Any], given: str) -> None:
    for path in ("/api/v1/flows", "/nowhere", "/changes/nowhere"):
        response = await client.get(path, headers={"X-Request-Id": given})
        assert response.headers["X-Request-Id"] == given


@pytest.mark.parametrize("given", ["", "x" * 65, "a b", "a\tb", "ä", "a;b"])
async def test_another_request_id_is_replaced(client: TestClient[Any, Any], given: str) -> None:
    response = await client.get("/nowhere", headers={"X-Request-Id": given})
    assert len(response.headers["X-Request-Id"]) == 32
    assert (await response.json())["requestId"] == response.headers["X-Request-Id"]


async def test_json_media_types(client: TestClient[Any, Any]) -> None:
    body = json.dumps({"name": "x"})
    for accepted in ("application/json", "Application/JSON; charset=UTF-8", 'application/json;charset="utf-8"',
                     "application/merge-patch+json", "application/json; profile=x"):  # fmt: skip
        response = await client.post("/api/v1/flows", data=body, headers={"Content-Type": accepted})
        assert response.status == 201, accepted
    json_api = {"Content-Type": "application/vnd.api+json"}
    response = await client.post("/changes/api/changes", data=body.encode(), headers=json_api)
    assert (response.status, response.content_type) == (201, "application/vnd.api+json")


async def test_a_handler_is_a_plain_function(tmp_path: Path) -> None:
    app = sample_app(tmp_path)
    call = Call(app[SERVICES], None, make_mocked_request("POST", "/", app=app), "id")
    assert (await create_flow(call, FlowIn(name="x"), dry_run=True)).dry_run
    with pytest.raises(Unauthenticated):
        _ = call.caller
