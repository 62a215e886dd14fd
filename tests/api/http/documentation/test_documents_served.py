"""The OpenAPI document of the real app, and whether the real answers are what it promises."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import pytest_asyncio
from aiohttp.test_utils import TestClient
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from api.http.binding import Endpoint
from domain.identity.permissions import Permission
from storage.services import Services
from tests.api.caller import Answer, Caller, found_organisation, unique
from tests.api.table import (
    CHANGING,
    ENDPOINTS,
    OF_JOBS,
    WITH_BODY,
    asking_url,
    body_model,
    body_of,
    file_for,
    url_of,
    wanted_by,
)
from tests.api.walks import TO_MAKE, Walk
from tests.api.world import make_whole_world, make_world
from tests.paths import DOCS
from workers.drain import drain
from workers.seal import Sealer

pytestmark = pytest.mark.asyncio(loop_scope="session")

PATHS = ("/api-docs", "/v3/api-docs", "/openapi.json")
COMMITTED = DOCS / "openapi.json"
Document = dict[str, Any]


async def fetch(http: TestClient[Any, Any], path: str) -> Answer:
    async with http.get(path) as response:
        return Answer(response.status, response.headers.copy(), await response.text())


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def document(http: TestClient[Any, Any]) -> Document:
    found: Document = (await fetch(http, "/openapi.json")).json
    return found


def operations(document: Document) -> Iterator[tuple[str, Document]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


async def test_it_is_openapi_3_1(document: Document) -> None:
    assert document["openapi"].startswith("3.1")
    assert document["info"]["title"]
    assert document["info"]["version"]
    assert document["info"]["description"]
    assert [str(error) for error in OpenAPIV31SpecValidator(document).iter_errors()] == []


async def test_it_is_the_same_at_every_path_and_needs_no_key(http: TestClient[Any, Any]) -> None:
    answers = [await fetch(http, path) for path in PATHS]
    assert {answer.status for answer in answers} == {200}
    assert len({answer.text for answer in answers}) == 1
    assert answers[0].headers["Content-Type"].startswith("application/json")


@pytest.mark.skipif(not COMMITTED.exists(), reason="docs/openapi.json is not committed yet")
async def test_the_committed_document_is_current(document: Document) -> None:
    assert json.loads(COMMITTED.read_text()) == document, "run `make openapi`"


async def test_it_holds_every_route_and_no_other(document: Document) -> None:
    served = {f"{one.route.method} {one.route.plain_path}" for one in ENDPOINTS}
    assert {title for title, _ in operations(document)} == served


async def test_what_is_required_has_an_example(document: Document) -> None:
    """Swagger UI fills it in."""
    for title, operation in operations(document):
        for parameter in operation.get("parameters", ()):
            assert not parameter["required"] or "example" in parameter, f"{title}: {parameter['name']}"
        media = operation.get("requestBody", {}).get("content", {}).get("application/json")
        assert media is None or "example" in media, title


async def test_every_operation_is_described(document: Document) -> None:
    names = [operation["operationId"] for _, operation in operations(document)]
    assert len(names) == len(set(names))
    headings = {tag["name"] for tag in document["tags"]}
    for title, operation in operations(document):
        assert operation["summary"], title
        assert len(operation["summary"]) < 120, title
        assert set(operation["tags"]) <= headings, title
        assert operation["tags"], title


async def test_every_operation_says_how_to_authenticate_and_what_it_needs(document: Document) -> None:
    schemes = document["components"]["securitySchemes"]
    assert schemes["apiKey"] == {"type": "apiKey", "in": "header", "name": "X-Api-Key"}
    exempt = {one.route.name for one in ENDPOINTS if one.route.permission is None}
    for title, operation in operations(document):
        security = operation["security"] if "security" in operation else document["security"]
        if operation["operationId"] in exempt:
            assert security == [], title
        else:
            assert {name for one in security for name in one} == set(schemes), title
            assert operation["x-permission"], title
            assert {"401", "403"} <= operation["responses"].keys(), title


async def test_every_error_has_a_shape_and_an_example_that_fits_it(document: Document) -> None:
    for title, operation in operations(document):
        errors = {status: one for status, one in operation["responses"].items() if status >= "400"}
        assert "500" in errors, title
        for status, response in errors.items():
            media = response["content"]["application/json"]
            assert media["schema"] == {"$ref": "#/components/schemas/ErrorOut"}, title
            assert media["example"]["status"] == int(status)
            assert problems(document, media["schema"], media["example"]) == []


async def test_every_body_shows_an_example_that_the_server_takes(document: Document) -> None:
    for endpoint in WITH_BODY:
        content = document["paths"][endpoint.route.plain_path][endpoint.route.method.lower()]["requestBody"]["content"]
        schema = content["application/json"]["schema"]
        name = schema["$ref"].rpartition("/")[2]
        for example in document["components"]["schemas"][name].get("examples", []):
            assert problems(document, schema, example) == []
            body_model(endpoint).model_validate_json(json.dumps(example))


def problems(document: Document, schema: Document, value: Any) -> list[str]:
    """Why a value does not fit a schema of the document."""
    validator = OAS31Validator({**schema, "components": document["components"]})
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(value)]


World = dict[str, str]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def lasting(http: TestClient[Any, Any], app_services: Services) -> tuple[Caller, World]:
    """An organisation with one of everything, processed and sealed, for the routes that change nothing."""
    api = await found_organisation(http, app_services)
    world = await make_whole_world(api)
    await drain(app_services)
    await Sealer()(app_services)
    return api, world


ELSEWHERE = {
    "prometheus",
    "start_session",
    "sign_out",
    "begin_sign_in",
    "finish_sign_in",
    "accept_invitation",
} | OF_JOBS
"""What takes a person, an identity provider or an invitation, to succeed; metrics are no JSON."""
PLAIN = tuple(one for one in ENDPOINTS if not one.signature.raw and one.route.name not in ELSEWHERE)
ANSWERS = Walk(PLAIN, requests=3 + TO_MAKE)


@ANSWERS.routes()
async def test_the_real_answer_is_what_is_promised(
    document: Document, lasting: tuple[Caller, World], api: Caller, admin: Caller, endpoint: Endpoint
) -> None:
    api, world = (api, await make_world(api, *wanted_by(endpoint))) if endpoint in CHANGING else lasting
    operation = document["paths"][endpoint.route.plain_path][endpoint.route.method.lower()]
    body: Document | None = body_of(endpoint, world) or None
    if endpoint.route.permission is Permission.PLATFORM_MANAGE:
        api, body = admin, {"slug": unique("org"), "name": "Acme"} if body else None
    if endpoint.route.name == "verify_ledger_chain":
        body = {}
    if endpoint.route.name == "get_provenance":
        await api.record_provenance({"trailId": world["trail_id"], "id": world["artifact_id"]})
    answer = await api.send(endpoint.route.method, asking_url(endpoint, **world), json=body, data=file_for(endpoint))
    assert answer.status < 300, answer.text
    promised = operation["responses"][str(answer.status)]
    if "content" not in promised:
        assert answer.text == ""
        return
    [(media_type, media)] = promised["content"].items()
    assert answer.headers["Content-Type"].partition(";")[0] == media_type
    shown = answer.json if media_type == "application/json" else answer.text
    assert problems(document, media["schema"], shown) == []
    refused = await Caller(api.client, "bogus").send(endpoint.route.method, url_of(endpoint, **world), json=body)
    if endpoint.route.permission is not None:
        assert problems(document, {"$ref": "#/components/schemas/ErrorOut"}, refused.json) == []


async def test_a_dry_runs_answer_is_promised_as_well(document: Document) -> None:
    """It comes with 200 instead of 201."""
    for title, operation in operations(document):
        switches = [one for one in operation.get("parameters", []) if one["name"] == "X-Dry-Run"]
        if switches:
            assert "200" in operation["responses"], title


async def test_lists_promise_their_headers_in_words(document: Document) -> None:
    assert "X-Total-Count" in document["info"]["description"]
    parameters = {one["name"] for one in document["paths"]["/api/v1/flows"]["get"]["parameters"]}
    assert {"page", "size", "after"} <= parameters


async def test_swagger_ui_loads_local_files_only(http: TestClient[Any, Any]) -> None:
    page = await fetch(http, "/swagger-ui.html")
    assert page.status == 200
    linked = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    files = [link for link in linked if not link.startswith("data:")]
    assert len(files) >= 4
    for link in files:
        assert "//" not in link, link
        assert (await fetch(http, link)).status == 200, link
    assert "default-src 'self'" in page.headers["Content-Security-Policy"]
    [script] = [link for link in files if link.endswith("initializer.js")]
    assert '"/api-docs"' in (await fetch(http, script)).text
