"""Generate the OpenAPI 3.1 document of a surface from its routes and their handlers' signatures and docstrings.

pydantic generates the schemas of all operations in one pass, so that two models with the same name get longer names
instead of overwriting each other.
"""

import inspect
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import JsonSchemaMode

from api.http.arguments import REQUIRED, Parameter
from api.http.binding import FORMS, Endpoint
from api.http.calls import PATH_PARAMETER, Surface
from api.http.idempotency import HEADER, MAX_KEY, REPLAYED
from api.http.problems import Problem
from api.http.routing import path_samples

Schema = dict[str, Any]
_REF = "#/components/schemas/"
_BINARY: Schema = {"type": "string", "format": "binary", "contentMediaType": "application/octet-stream"}
_STREAMED: Mapping[str, Schema] = {"application/octet-stream": _BINARY}
"""Schemas of responses that handlers build themselves, by media type; other media types have no schema."""
_TEXT: Schema = {"type": "string"}
_EXAMPLE_MOMENT = datetime(2026, 1, 2, 3, 4, 5, 678901, UTC)
_EXAMPLE_REQUEST_ID = "0d5f2c1e9b7a4c3f8e6d5c4b3a291807"

_HEADERS: Mapping[str, Schema] = {
    "X-Request-Id": {"schema": _TEXT, "description": "The id of this request in the server's log"},
    "WWW-Authenticate": {"schema": _TEXT, "description": "How to authenticate (RFC 9110, section 11.6.1)"},
    "Retry-After": {"schema": {"type": "integer"}, "description": "Seconds to wait before the next attempt"},
    REPLAYED: {
        "schema": {"const": "true"},
        "description": f"Present when this is the stored response to an earlier request with this `{HEADER}`",
    },
}
_ERROR_HEADERS = {401: "WWW-Authenticate", 409: "Retry-After", 429: "Retry-After", 503: "Retry-After"}

MESSAGES: Mapping[int, str] = {
    400: "A parameter or the body is invalid; `details` names each field",
    401: "The credential is missing or not valid",
    403: "The caller lacks the permission",
    404: "The resource does not exist or is not visible to the caller",
    409: "The request conflicts with the current state of the resource",
    410: "The resource was permanently removed",
    412: "`If-Match` names another version than the current one",
    413: "The body is larger than this route accepts",
    415: "This route does not accept the media type of the body",
    422: "The request is well-formed, but a business rule forbids it",
    429: "Too many requests; see `Retry-After`",
    500: "The server failed; its log has the cause under the request id",
    502: "An upstream system failed",
    503: "The service is temporarily unavailable; see `Retry-After`",
}


_KEY: Schema = {
    "name": HEADER,
    "in": "header",
    "required": False,
    "description": "Identifies this request for 24 hours: a repeated request with the same key gets the same response "
    "and changes nothing. A different request with the same key is rejected with 422; 409 with `Retry-After` means "
    "that the first request is still in progress",
    "schema": {"type": "string", "minLength": 1, "maxLength": MAX_KEY, "pattern": "^[!-~]+$"},
}


def document(surface: Surface, endpoints: Iterable[Endpoint]) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of a surface, given the endpoints that `binding.register` returned."""
    bound = tuple(endpoints)
    schemas = _Schemas(surface, bound)
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in bound:
        operation = _Operation(surface, endpoint, schemas).described()
        paths.setdefault(endpoint.route.plain_path, {})[endpoint.route.method.lower()] = operation
    tags = dict.fromkeys(endpoint.route.tag for endpoint in bound if endpoint.route.tag)
    described = {
        "openapi": "3.1.0",
        "info": {"title": surface.title, "version": surface.version, "description": surface.description},
        "servers": [{"url": surface.mount or "/"}],
        "tags": [{"name": tag} for tag in tags],
        "security": [{name: []} for name in surface.security],
        "paths": paths,
    }
    components = {
        "schemas": schemas.used_by(described),
        "securitySchemes": dict(surface.security),
        "headers": _HEADERS,
    }
    return described | {"components": components}


class _Schemas:
    """All JSON schemas of the document, generated in one pass over all models."""

    def __init__(self, surface: Surface, endpoints: tuple[Endpoint, ...]) -> None:
        self._adapters: dict[tuple[int, JsonSchemaMode], TypeAdapter[Any]] = {}
        self.error = TypeAdapter(surface.error_model)
        self._want(self.error, "serialization")
        for endpoint in endpoints:
            signature = endpoint.signature
            inputs = [parameter.adapter for parameter in signature.parameters]
            inputs += [signature.query.adapter] if signature.query else []
            inputs += [signature.form.fields.adapter] if signature.form else []
            inputs += [signature.body.adapter] if signature.body else []
            for adapter in inputs:
                self._want(adapter, "validation")
            for output in (signature.answer.own, signature.answer.preview):
                if output is not None:
                    self._want(output, "serialization")
        wanted = [(key, key[1], adapter) for key, adapter in self._adapters.items()]
        self._by_adapter, shared = TypeAdapter.json_schemas(wanted, ref_template=_REF + "{model}")
        self._definitions: dict[str, Schema] = shared.get("$defs", {})

    def _want(self, adapter: TypeAdapter[Any], mode: JsonSchemaMode) -> None:
        self._adapters[id(adapter), mode] = adapter

    def of_input(self, adapter: TypeAdapter[Any]) -> Schema:
        """Return the schema of an input."""
        return self._by_adapter[(id(adapter), "validation"), "validation"]

    def of_output(self, adapter: TypeAdapter[Any]) -> Schema:
        """Return the schema of an answer."""
        return self._by_adapter[(id(adapter), "serialization"), "serialization"]

    def resolved(self, schema: Schema) -> Schema:
        """Return the schema that a reference points to."""
        return self._definitions[schema["$ref"].removeprefix(_REF)] if "$ref" in schema else schema

    def used_by(self, described: Mapping[str, Any]) -> dict[str, Schema]:
        """Return the definitions that the document refers to, directly or through each other."""
        used: dict[str, Schema] = {}
        pending = list(_references(described))
        while pending:
            name = pending.pop()
            if name not in used:
                used[name] = self._definitions[name]
                pending.extend(_references(used[name]))
        return dict(sorted(used.items()))


class _Operation:
    """One route as an OpenAPI operation."""

    def __init__(self, surface: Surface, endpoint: Endpoint, schemas: _Schemas) -> None:
        self._surface = surface
        self._endpoint = endpoint
        self._route = endpoint.route
        self._signature = endpoint.signature
        self._schemas = schemas

    def described(self) -> dict[str, Any]:
        summary, _, rest = (inspect.getdoc(self._route.handler) or self._route.name).partition("\n")
        permission = self._route.permission
        parts = {
            "operationId": self._route.name,
            "summary": summary.rstrip("."),
            "description": rest.strip(),
            "tags": [self._route.tag] if self._route.tag else [],
            "parameters": [*self._parameters(), *self._query(), *([_KEY] if self._endpoint.takes_key else [])],
            "requestBody": self._request_body(),
            "responses": self._responses(),
            "x-permission": permission.value if permission else None,
        }
        operation = {key: value for key, value in parts.items() if value}
        return operation if permission else operation | {"security": []}

    def _parameters(self) -> Iterator[Schema]:
        regexes = {found[1]: found[2] for found in PATH_PARAMETER.finditer(self._route.path)}
        samples = path_samples(self._route, self._signature)
        for parameter in self._signature.parameters:
            schema = _without_null(self._schemas.of_input(parameter.adapter)) | _default(parameter)
            if regexes.get(parameter.argument) and schema.get("type") == "string":
                schema = {"pattern": f"^(?:{regexes[parameter.argument]})$", **schema}
            described = _parameter(parameter.wire_name, parameter.place, schema, parameter.default is REQUIRED)
            if parameter.argument in samples:
                described["example"] = samples[parameter.argument]
            yield described
            if parameter.header and parameter.header.query:
                yield _parameter(parameter.header.query, "query", schema, required=False)

    def _query(self) -> Iterator[Schema]:
        if self._signature.query is None:
            return
        model = self._schemas.resolved(self._schemas.of_input(self._signature.query.adapter))
        for name, schema in model.get("properties", {}).items():
            yield _parameter(name, "query", _without_null(schema), name in model.get("required", ()))

    def _request_body(self) -> Schema | None:
        body, form = self._signature.body, self._signature.form
        if self._signature.raw:
            kinds = self._endpoint.accepts or ("application/octet-stream",)
            return {"required": True, "content": {kind: {"schema": _BINARY} for kind in kinds}}
        content: dict[str, Schema] = {}
        for kind in self._endpoint.accepts:
            if form and kind in FORMS:
                content[kind] = {"schema": self._schemas.of_input(form.fields.adapter)}
            elif body:
                content[kind] = self._with_example(_without_null(self._schemas.of_input(body.adapter)))
        required = any(one and one.default is REQUIRED for one in (body, form))
        return {"required": required, "content": content} if content else None

    def _with_example(self, schema: Schema) -> Schema:
        """Return a media type with its model's first example, which Swagger UI fills in."""
        examples = self._schemas.resolved(schema).get("examples", [])
        return {"schema": schema} | ({"example": examples[0]} if examples else {})

    def _answers(self) -> dict[str, Schema]:
        preview = self._signature.answer.preview
        return self._answer() | (self._preview(preview) if preview is not None else {})

    def _preview(self, adapter: TypeAdapter[Any]) -> dict[str, Schema]:
        """Return the answer to a dry run; if the route itself answers with 200, both share one response."""
        schema = self._schemas.of_output(adapter)
        own = self._signature.answer.own
        if self._route.status == HTTPStatus.OK and own is not None:
            schema = {"anyOf": [self._schemas.of_output(own), schema]}
        content = {self._endpoint.produces: {"schema": schema}}
        replayed = REPLAYED if self._route.status == HTTPStatus.OK and self._endpoint.takes_key else None
        return {str(int(HTTPStatus.OK)): _response("OK: with `X-Dry-Run`, a preview of the change", content, replayed)}

    def _answer(self) -> dict[str, Schema]:
        adapter, produces, status = self._signature.answer.own, self._endpoint.produces, self._route.status
        replayed = REPLAYED if self._endpoint.takes_key else None
        if adapter is not None:
            schema = self._schemas.of_output(adapter)
        elif self._signature.answer.streams:
            schema = _TEXT if produces.startswith("text/") else _STREAMED.get(produces, {})
        else:
            status = self._endpoint.empty_status
            return {str(int(status)): _response(_phrase(status), header=replayed)}
        return {str(int(status)): _response(_phrase(status), {produces: {"schema": schema}}, replayed)}

    def _responses(self) -> dict[str, Schema]:
        errors = {str(status): self._error(status) for status in sorted(self._error_statuses())}
        return self._answers() | errors

    def _error_statuses(self) -> set[int]:
        signature = self._signature
        statuses = {500, *self._route.errors}
        if signature.parameters or signature.query or signature.body or signature.form:
            statuses.add(400)
        if self._route.permission:
            statuses |= {401, 403, 429}
        if any(parameter.place == "path" for parameter in signature.parameters):
            statuses.add(404)
        if signature.body or signature.form or signature.raw:
            statuses |= {413} | ({415} if self._endpoint.accepts else set())
        if self._endpoint.takes_key:
            statuses |= {409, 422}
        return statuses

    def _error(self, status: int) -> Schema:
        message = MESSAGES.get(status) or _phrase(status)
        path = self._surface.mount + self._route.plain_path
        problem = Problem(status, message, path, _EXAMPLE_REQUEST_ID, at=_EXAMPLE_MOMENT)
        media = {
            "schema": self._schemas.of_output(self._schemas.error),
            "example": self._surface.render(problem).model_dump(mode="json", by_alias=True),
        }
        return _response(message, {self._surface.error_media_type: media}, _ERROR_HEADERS.get(status))


def _parameter(name: str, place: str, schema: Schema, required: bool) -> Schema:
    description = {"description": schema["description"]} if "description" in schema else {}
    example = {"example": schema["examples"][0]} if required and schema.get("examples") else {}
    return {"name": name, "in": place, **description, "required": required, "schema": schema, **example}


def _response(description: str, content: Schema | None = None, header: str | None = None) -> Schema:
    names = ["X-Request-Id", header] if header else ["X-Request-Id"]
    headers = {name: {"$ref": f"#/components/headers/{name}"} for name in names}
    return {"description": description, "headers": headers} | ({"content": content} if content else {})


def _default(parameter: Parameter) -> Schema:
    if parameter.default is REQUIRED or parameter.default is None:
        return {}
    return {"default": parameter.adapter.dump_python(parameter.default, mode="json")}


def _without_null(schema: Schema) -> Schema:
    """Return the schema without null: an absent parameter or optional body is left out, not null."""
    if "anyOf" not in schema:
        return schema
    branches = [branch for branch in schema["anyOf"] if branch != {"type": "null"}]
    rest = {key: value for key, value in schema.items() if key != "anyOf" and not (key == "default" and value is None)}
    return rest | branches[0] if len(branches) == 1 else rest | {"anyOf": branches}


def _references(node: Any) -> Iterator[str]:
    """Yield the names of the component schemas that a part of the document refers to."""
    if isinstance(node, Mapping):
        target = node.get("$ref")
        if isinstance(target, str) and target.startswith(_REF):
            yield target.removeprefix(_REF)
        yield from (name for inner in node.values() for name in _references(inner))
    elif isinstance(node, list):
        yield from (name for inner in node for name in _references(inner))


def _phrase(status: int) -> str:
    return HTTPStatus(status).phrase
