"""What is refused before the first request: signatures, tables and routes that cannot work."""

import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, cast
from uuid import UUID

import pytest
from aiohttp import web
from pydantic import BaseModel

from api.http.arguments import read_arguments
from api.http.binding import register
from api.http.calls import SERVICES, STAGING, Call, Handler, Header, Reply, Route, Surface, Upload
from domain.identity.permissions import Permission
from storage.services import Services
from tests.api.http.sample import FACTS, FlowIn, FlowOut, FlowQuery, sample_app

READ = Permission.FACTS_READ


class Paper(BaseModel):
    file: Upload


async def no_call(flow_id: UUID) -> None: ...
async def first_is_not_call(body: FlowIn, call: Call) -> None: ...
async def unknown_argument(call: Call, flow: FlowIn) -> None: ...
async def bare_argument(call: Call, thing) -> None: ...
async def annotated_without_header(call: Call, thing: Annotated[str, "note"]) -> None: ...
async def query_is_no_model(call: Call, query: dict[str, str]) -> None: ...
async def query_has_default(call: Call, query: FlowQuery | None = None) -> None: ...
async def form_is_no_model(call: Call, form: list[FlowIn]) -> None: ...
async def raw_is_text(call: Call, raw: str) -> None: ...
async def raw_and_body(call: Call, raw: bytes, body: FlowIn) -> None: ...
async def two_required(call: Call, body: FlowIn, form: FlowQuery) -> None: ...
async def no_return(call: Call): ...
async def keywords(call: Call, **rest: str) -> None: ...
async def unschemable(call: Call, body: Path | web.Request) -> None: ...
async def untyped_path(call: Call, flow_id) -> None: ...


@pytest.mark.parametrize(
    "handler",
    [
        no_call, first_is_not_call, unknown_argument, bare_argument, annotated_without_header, query_is_no_model,
        query_has_default, form_is_no_model, raw_is_text, raw_and_body, two_required, no_return, keywords, unschemable,
    ],
)  # fmt: skip
def test_a_signature_that_cannot_be_served_names_its_handler(handler: Any) -> None:
    with pytest.raises(TypeError, match=handler.__name__):
        read_arguments(Route("POST", "/x", handler, READ))


def test_path_parameters_must_be_typed_arguments() -> None:
    for handler in (query_is_no_model, untyped_path):
        with pytest.raises(TypeError, match=handler.__name__):
            read_arguments(Route("POST", "/x/{flow_id}", handler, READ))


async def one(call: Call, flow_id: UUID) -> FlowOut | Reply[list[str]] | None:
    raise NotImplementedError


async def two(call: Call, flow_id: str) -> web.StreamResponse | FlowOut:
    raise NotImplementedError


async def three(call: Call) -> web.FileResponse:
    raise NotImplementedError


async def four(call: Call, status: Annotated[str | None, Header("X-Status")] = None) -> None: ...


async def upload(call: Call, form: Paper) -> None: ...


def test_answers_are_read_from_unions() -> None:
    first, second = (read_arguments(Route("GET", "/{flow_id}", handler, READ)) for handler in (one, two))
    assert first.answer.body is not None
    assert first.answer.body.dump_json(["a"]) == b'["a"]'
    assert (first.answer.streams, second.answer.streams) == (False, True)
    assert read_arguments(Route("GET", "/", three, READ)).answer.body is None


def surface(*routes: Route, **changes: Any) -> Surface:
    return replace(FACTS, routes=routes, exempt=frozenset(), **changes)


def bind(*surfaces: Surface) -> web.Application:
    app = web.Application()
    app[SERVICES] = cast("Services", None)
    for each in surfaces:
        register(app, each)
    return app


@pytest.mark.parametrize(
    "paths",
    [
        ("/flows", "/flows"),
        ("/flows/{flow_id}", "/flows/{flow_id}"),
        ("/x/{flow_id}/a", r"/x/{flow_id:[0-9a-f-]+}/a"),
        (r"/x/{flow_id:.+}", "/x/{flow_id}/more"),
    ],
)
def test_duplicate_and_shadowed_routes_name_both(paths: tuple[str, str]) -> None:
    handlers: tuple[Handler, ...] = (one, two) if "{" in paths[0] else (three, four)
    routes = [Route("GET", path, handler, READ) for path, handler in zip(paths, handlers, strict=True)]
    with pytest.raises(ValueError, match="never reached") as refused:
        bind(surface(*routes))
    assert all(f"(facts.{route.name})" in str(refused.value) for route in routes)


def test_shadows_are_found_across_surfaces() -> None:
    first = surface(Route("GET", "/api/v2/flows/{flow_id}", two, READ))
    second = surface(Route("GET", r"/flows/{flow_id:[a-z]+}", two, READ), name="kosli", mount="/api/v2")
    with pytest.raises(ValueError, match=r"kosli\.two.*never reached.*facts\.two"):
        bind(first, second)


def test_reachable_neighbours_are_accepted() -> None:
    uuid = r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
    bind(
        surface(
            Route("GET", f"/flows/{{flow_id:{uuid}}}", one, READ),
            Route("GET", "/flows/{flow_id}", two, READ),
            Route("GET", "/flows/search", three, READ),
            Route("POST", "/flows/{flow_id}", delete, READ),
        )
    )


async def delete(call: Call, flow_id: UUID) -> None: ...


def test_a_regex_that_no_usual_value_fits_needs_an_example() -> None:
    route = Route("GET", "/x/{flow_id:[xyz]{5}}", two, READ)
    with pytest.raises(ValueError, match=r"Route\.examples"):
        bind(surface(route))
    bind(surface(replace(route, examples={"flow_id": "xyzzy"})))


def test_operation_ids_are_unique() -> None:
    with pytest.raises(ValueError, match="operationId three"):
        bind(surface(Route("GET", "/a", three, READ), Route("GET", "/b", three, READ)))


def test_exempt_routes_are_exactly_those_listed() -> None:
    open_route = surface(Route("GET", "/a", three, None))
    with pytest.raises(ValueError, match=r"not listed as exempt: \['three'\]"):
        bind(open_route)
    bind(replace(open_route, exempt=frozenset({"three"})))
    with pytest.raises(ValueError, match=r"no such route: \['three'\]"):
        bind(replace(surface(Route("GET", "/a", three, READ)), exempt=frozenset({"three"})))


def test_forms_need_a_staging_directory(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="STAGING"):
        bind(surface(Route("POST", "/a", upload, READ)))
    app = web.Application()
    app[STAGING] = tmp_path
    register(app, surface(Route("POST", "/a", upload, READ)))


@pytest.mark.parametrize("mount", ["changes", "/changes/", "/"])
def test_mounts_have_one_spelling(mount: str) -> None:
    with pytest.raises(ValueError, match="mount"):
        surface(mount=mount)


def test_three_hundred_routes_start_quickly(tmp_path: Path) -> None:
    """The budget is 0.3 s of processor time; the margin is for a machine whose processors are lent out."""

    def handler(number: int) -> Any:
        async def handle(call: Call, body: FlowIn, query: FlowQuery, flow_id: UUID) -> list[FlowOut]:
            raise NotImplementedError

        handle.__name__ = f"handle_{number}"
        return handle

    routes = [Route("POST", f"/x/{{flow_id}}/n{number}", handler(number), READ) for number in range(300)]
    started = time.process_time()
    bind(surface(*routes))
    assert time.process_time() - started < 3


def test_the_sample_surfaces_bind(tmp_path: Path) -> None:
    assert len(list(sample_app(tmp_path).router.routes())) > len(FACTS.routes)
