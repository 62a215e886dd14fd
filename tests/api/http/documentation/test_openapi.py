import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from openapi_spec_validator import OpenAPIV31SpecValidator
from pydantic import BaseModel

from api.http.binding import register
from api.http.calls import STAGING, Call, Route, Surface
from api.http.documentation.openapi import document
from domain.identity.permissions import Permission
from tests.api.http.sample import CHANGES, FACTS


def documented(surface: Surface, staging: Path) -> dict[str, Any]:
    app = web.Application()
    app[STAGING] = staging
    return json.loads(json.dumps(document(surface, register(app, surface))))


@pytest.fixture
def facts(tmp_path: Path) -> dict[str, Any]:
    return documented(FACTS, tmp_path)


@pytest.mark.parametrize("surface", [FACTS, CHANGES], ids=lambda surface: surface.name)
def test_the_document_is_valid_and_the_same_every_time(surface: Surface, tmp_path: Path) -> None:
    described = documented(surface, tmp_path)
    assert described["openapi"] == "3.1.0"
    assert list(OpenAPIV31SpecValidator(described).iter_errors()) == []
    assert documented(surface, tmp_path) == described


def test_head_and_place(facts: dict[str, Any], tmp_path: Path) -> None:
    assert facts["info"] == {"title": "Facts", "version": "v1", "description": "What happened."}
    assert facts["servers"] == [{"url": "/"}]
    assert [tag["name"] for tag in facts["tags"]] == ["Flows", "Evidence"]
    changes = documented(CHANGES, tmp_path)
    assert changes["servers"] == [{"url": "/changes"}]
    assert list(changes["paths"]) == ["/api/changes"]


def test_every_route_is_an_operation_with_its_right(facts: dict[str, Any]) -> None:
    for route in FACTS.routes:
        operation = facts["paths"][route.plain_path][route.method.lower()]
        assert operation["operationId"] == route.name
        assert operation.get("x-permission") == (route.permission.value if route.permission else None)
        assert (operation.get("security") == []) == (route.permission is None)
    assert facts["security"] == [{"apiKey": []}]
    assert facts["components"]["securitySchemes"] == FACTS.security


def test_docstrings_become_summary_and_description(facts: dict[str, Any]) -> None:
    operation = facts["paths"]["/api/v1/flows"]["post"]
    assert operation["summary"] == "Create a flow"
    assert operation["description"] == "With X-Dry-Run nothing is stored."
    assert operation["tags"] == ["Flows"]


def parameters(operation: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {(one["in"], one["name"]): one for one in operation["parameters"]}


def test_parameters_have_their_real_names_and_formats(facts: dict[str, Any]) -> None:
    found = parameters(facts["paths"]["/api/v1/flows"]["get"])
    assert set(found) == {("query", "page"), ("query", "size"), ("query", "status"), ("query", "page[after]")}
    assert not any(one["required"] for one in found.values())
    assert found["query", "page[after]"]["schema"]["format"] == "uuid"
    assert "anyOf" not in found["query", "page[after]"]["schema"]
    assert found["query", "size"]["schema"]["maximum"] == 500
    assert found["query", "page"]["description"] == "Counts from 0"
    assert found["query", "status"]["schema"]["items"] == {"$ref": "#/components/schemas/Status"}
    dry = parameters(facts["paths"]["/api/v1/flows"]["post"])
    assert (
        dry["header", "X-Dry-Run"]["schema"]
        == dry["query", "dryRun"]["schema"]
        == {"type": "boolean", "default": False}
    )
    path = parameters(facts["paths"]["/api/v1/flows/{flow_id}/{status}/{times}"]["put"])
    assert all(one["required"] and one["in"] == "path" for one in path.values())
    assert path["path", "flow_id"]["schema"]["format"] == "uuid"
    snapshot = parameters(facts["paths"]["/api/v1/snapshots/{expression}"]["get"])
    assert snapshot["path", "expression"]["schema"]["pattern"] == "^(?:.+)$"


def test_what_can_be_rehearsed_takes_an_idempotency_key(facts: dict[str, Any]) -> None:
    takers = [
        (method, path)
        for path, operations in facts["paths"].items()
        for method, operation in operations.items()
        if any(one["name"] == "Idempotency-Key" for one in operation.get("parameters", ()))
    ]
    assert takers == [("post", "/api/v1/flows")]
    created = facts["paths"]["/api/v1/flows"]["post"]["responses"]["201"]
    assert "Idempotency-Replayed" in created["headers"]
    assert "Idempotency-Replayed" in facts["components"]["headers"]


def test_request_bodies(facts: dict[str, Any], tmp_path: Path) -> None:
    body = facts["paths"]["/api/v1/flows"]["post"]["requestBody"]
    assert body["required"] is True
    filled = {"schema": {"$ref": "#/components/schemas/FlowIn"}, "example": {"name": "payments"}}
    assert body["content"] == {"application/json": filled}
    assert facts["components"]["schemas"]["FlowIn"]["examples"] == [{"name": "payments"}]
    optional = facts["paths"]["/api/v1/imports"]["post"]["requestBody"]
    assert optional["required"] is False
    assert optional["content"]["application/json"]["schema"]["type"] == "array"
    assert optional["content"]["application/x-www-form-urlencoded"]["schema"]["$ref"].endswith("LoginForm")
    raw = facts["paths"]["/api/v1/receive"]["post"]["requestBody"]
    assert raw["content"]["application/octet-stream"]["schema"]["format"] == "binary"
    change = documented(CHANGES, tmp_path)["paths"]["/api/changes"]["post"]["requestBody"]
    assert list(change["content"]) == ["application/vnd.api+json", "application/json"]


def test_files_in_forms_are_binary(facts: dict[str, Any]) -> None:
    body = facts["paths"]["/api/v1/flows/{flow_id}/evidence"]["post"]["requestBody"]
    reference = body["content"]["multipart/form-data"]["schema"]["$ref"].rsplit("/", 1)[1]
    form = facts["components"]["schemas"][reference]
    assert form["required"] == ["data_json", "file"]
    assert form["properties"]["file"]["format"] == "binary"
    assert form["properties"]["attachments"]["items"]["format"] == "binary"
    assert form["properties"]["data_json"]["contentMediaType"] == "application/json"


def test_answers(facts: dict[str, Any]) -> None:
    created = facts["paths"]["/api/v1/flows"]["post"]["responses"]["201"]
    assert created["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/FlowOut"}
    deleted = facts["paths"]["/api/v1/flows/{flow_id}"]["delete"]["responses"]
    assert "content" not in deleted["204"]
    assert "200" not in deleted
    stream = facts["paths"]["/api/v1/stream/{name}"]["get"]["responses"]["200"]["content"]
    assert stream["application/octet-stream"]["schema"]["format"] == "binary"
    output = facts["components"]["schemas"]["FlowOut"]
    assert {"initialStatus", "isActive", "startedAt"} <= set(output["properties"])
    assert output["properties"]["startedAt"]["anyOf"][0]["type"] == "string"


@pytest.mark.parametrize(
    ("path", "method", "statuses"),
    [
        ("/api/v1/flows", "get", {200, 400, 401, 403, 429, 500}),
        ("/api/v1/flows", "post", {201, 400, 401, 403, 409, 413, 415, 422, 429, 500}),
        ("/api/v1/flows/{flow_id}", "get", {200, 400, 401, 403, 404, 429, 500}),
        ("/api/v1/flows/{flow_id}", "delete", {204, 400, 401, 403, 404, 412, 429, 500}),
        ("/api/v1/receive", "post", {204, 413, 500}),
    ],
)
def test_error_statuses_follow_from_the_route(
    facts: dict[str, Any], path: str, method: str, statuses: set[int]
) -> None:
    assert {int(status) for status in facts["paths"][path][method]["responses"]} == statuses


def test_errors_carry_the_surfaces_schema_and_an_example(facts: dict[str, Any], tmp_path: Path) -> None:
    gone = facts["paths"]["/api/v1/flows/{flow_id}"]["delete"]["responses"]
    media = gone["404"]["content"]["application/json"]
    assert media["schema"] == {"$ref": "#/components/schemas/ErrorOut"}
    assert media["example"]["error"] == "Not Found"
    assert media["example"]["path"] == "/api/v1/flows/{flow_id}"
    assert set(media["example"]) == set(facts["components"]["schemas"]["ErrorOut"]["properties"])
    assert "WWW-Authenticate" in gone["401"]["headers"]
    assert "Retry-After" in gone["429"]["headers"]
    conflict = documented(CHANGES, tmp_path)["paths"]["/api/changes"]["post"]["responses"]["403"]
    assert list(conflict["content"]) == ["application/vnd.api+json"]


def model_named_thing(field: str) -> type[BaseModel]:
    kind: type[BaseModel] = type(
        "Thing", (BaseModel,), {"__annotations__": {field: str}, "__module__": f"{__name__}.{field}"}
    )
    return kind


def test_two_models_of_one_name_stay_apart(tmp_path: Path) -> None:
    async def first(call: Call) -> None: ...

    async def second(call: Call) -> None: ...

    first.__annotations__["return"], second.__annotations__["return"] = model_named_thing("a"), model_named_thing("b")
    routes = (Route("GET", "/a", first, Permission.FACTS_READ), Route("GET", "/b", second, Permission.FACTS_READ))
    described = documented(replace(FACTS, routes=routes, exempt=frozenset()), tmp_path)
    fields = []
    for path in ("/a", "/b"):
        reference = described["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]["$ref"]
        fields.append(set(described["components"]["schemas"][reference.rsplit("/", 1)[1]]["properties"]))
    assert fields == [{"a"}, {"b"}]
    assert list(OpenAPIV31SpecValidator(described).iter_errors()) == []


def test_only_what_is_referred_to_is_listed(facts: dict[str, Any]) -> None:
    text = json.dumps(facts)
    assert "FlowQuery" not in facts["components"]["schemas"]
    assert all(f'"#/components/schemas/{name}"' in text for name in facts["components"]["schemas"])
