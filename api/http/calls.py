"""The types of the HTTP layer: what a handler receives and returns, routes, and surfaces."""

import re
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from pathlib import Path
from typing import Any, Generic, TypeVar

from aiohttp import web
from pydantic import BaseModel, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from api.http.problems import Problem
from api.http.reading import clean_text
from domain.audit.events import Actor
from domain.errors import Denial, Unauthenticated
from domain.identity.permissions import Permission, Principal
from domain.identity.rates import RateLimit
from domain.tenant import Tenant
from storage.database import Database, Reader, Transaction
from storage.services import Services

MEBIBYTE = 1 << 20
REGION_HEADER = "X-Factstore-Region"
MAX_REGION_LENGTH = 64

SERVICES: web.AppKey[Services] = web.AppKey("services", Services)
STAGING: web.AppKey[Path] = web.AppKey("staging", Path)
"""The directory of uploaded files; on the blob store's file system, so that a rename moves a file into the store."""
REQUEST_ID: web.RequestKey[str] = web.RequestKey("request_id", str)
PROVEN: web.RequestKey[bool] = web.RequestKey("proven", bool)
"""Whether the caller is known, by a credential or the signature of a delivery; absent means no."""
RECEIPT_ID: web.RequestKey[str] = web.RequestKey("receipt_id", str)
"""The receipt returned for a request; connects its log line with those of the worker that processes the receipt."""

Handler = Callable[..., Awaitable[Any]]
Authenticate = Callable[[web.Request], Awaitable[Principal | None]]
Render = Callable[[Problem], BaseModel]


@dataclass(frozen=True, slots=True)
class Call:
    """One request as a handler sees it. `principal` is None on exempt routes only."""

    services: Services
    principal: Principal | None
    request: web.Request
    request_id: str

    @property
    def caller(self) -> Principal:
        """The authenticated principal. Raises Unauthenticated when there is none."""
        if self.principal is None:
            message = "Send an API key: as X-Api-Key, or as Authorization: Bearer or ApiKey."
            raise Unauthenticated(message, denial=Denial.NO_CREDENTIAL)
        return self.principal

    @property
    def tenant(self) -> Tenant:
        """The organisation whose rows this request may read and change, within the scopes of the credential."""
        return Tenant(self.caller.org_id, self.caller.org_slug, self.caller.scopes)

    @property
    def actor(self) -> Actor:
        """The actor in audit events: always the principal. The region is the one the caller sends, or this server's."""
        named = clean_text(REGION_HEADER, self.request.headers.get(REGION_HEADER, ""))
        region = named.strip()[:MAX_REGION_LENGTH] or self.services.settings.region
        return Actor(self.caller.id, self.caller.credential_id, self.request_id, region)

    @property
    def database(self) -> Database:
        """The database; the caller's organisation has a fair share of its connections."""
        return self.services.database.of(self.principal.org_id if self.principal else None)

    def read(self) -> AbstractAsyncContextManager[Reader]:
        """Open a connection for reading."""
        return self.database.read()

    def snapshot(self) -> AbstractAsyncContextManager[Reader]:
        """Open a connection on one snapshot."""
        return self.database.snapshot()

    def transaction(self, *, dry_run: bool = False) -> AbstractAsyncContextManager[Transaction]:
        """Open a transaction; a dry run is rolled back at the end."""
        return self.database.transaction(dry_run=dry_run)


Denied = Callable[[Call, Permission, Denial], Awaitable[None]]


@dataclass(frozen=True)
class Header:
    """Marks an argument as read from a header: `Annotated[bool, Header("X-Dry-Run")]`.

    `aliases` are alternative header names, `query` is an alternative query parameter; the first one given counts.
    """

    name: str
    aliases: tuple[str, ...] = ()
    query: str | None = None


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Reply(Generic[T]):
    """An answer with headers or its own status. `status` None means the route's status."""

    body: T
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Preview(Reply[T]):
    """The answer to a dry run: always with 200, and documented beside the route's own answer."""

    status: int | None = HTTPStatus.OK


@dataclass(frozen=True, slots=True)
class Upload:
    """An uploaded file, hashed and written to a staging file.

    The handler keeps it by moving `path` into the blob store; otherwise it is deleted after the call.
    `sha256` is lower-case hex, `size` in bytes, `file_name` a base name without directories.
    """

    path: Path
    sha256: str
    size: int
    file_name: str
    content_type: str

    @classmethod
    def __get_pydantic_core_schema__(cls, source: type[Any], handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.is_instance_schema(cls)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"type": "string", "format": "binary", "contentMediaType": "application/octet-stream"}


@dataclass(frozen=True)
class Route:
    """One route of a surface: the only place that states its path and the permission it needs.

    A route with `permission` None needs no credential; the surface must list its handler in `exempt`.
    `errors` are the statuses beyond the derived ones (400, 401, 403, 404 with path parameters, 413, 415, 429, 500).
    `max_body` in bytes counts the whole body, files included. `accepts` and `produces` default to the surface's.
    `examples` gives path parameters an example value; required where no sample of `routing` matches the regex.
    `limit` is the rate limit, by the client's address, of a route without permission; None for one that costs nothing.
    `prepare` is called with the handler's arguments before it, for work that takes long: the handler of a request with
    an Idempotency-Key runs inside a transaction. It keeps its result in the request.
    `scoped`: its commands and queries apply the tenant's scopes, or concern nothing that scopes limit. Only these
    routes may be called with a key that has scopes.
    """

    method: str
    path: str
    handler: Handler
    permission: Permission | None
    status: int = HTTPStatus.OK
    errors: tuple[int, ...] = ()
    max_body: int = MEBIBYTE
    accepts: tuple[str, ...] = ()
    produces: str | None = None
    tag: str | None = None
    examples: Mapping[str, str] = field(default_factory=dict)
    prepare: Handler | None = None
    scoped: bool = False
    limit: RateLimit | None = None

    @property
    def name(self) -> str:
        """The handler's name, which is also the operationId."""
        return self.handler.__name__

    @property
    def plain_path(self) -> str:
        """The path without its regexes, as OpenAPI writes it: `/flows/{flow_id}`."""
        return PATH_PARAMETER.sub(r"{\1}", self.path)


PATH_PARAMETER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)(?::((?:[^{}]|\{[^{}]*\})+))?\}")
"""aiohttp's `{name}` or `{name:regex}`; a regex may contain one level of braces."""


def tagged(tag: str, *routes: Route) -> tuple[Route, ...]:
    """Return the routes with an OpenAPI tag."""
    return tuple(replace(route, tag=tag) for route in routes)


def scoped(*routes: Route) -> tuple[Route, ...]:
    """Return the routes as ones that apply scopes."""
    return tuple(replace(route, scoped=True) for route in routes)


@dataclass(frozen=True, eq=False)
class Surface:
    """An API below one base path: its routes, authentication, error model and media types.

    `mount` is empty for the root, otherwise it begins with a slash and does not end with one.
    `denied` is called before a known caller gets 403, with the route's permission and the reason. `security` holds the
    OpenAPI security schemes by name; any one of them suffices. `challenge` is the value of `WWW-Authenticate` (RFC
    9110, section 11.6.1).
    `exempt` names the handlers that need no credential.
    """

    name: str
    title: str
    version: str
    error_model: type[BaseModel]
    render: Render
    authenticate: Authenticate
    routes: tuple[Route, ...]
    mount: str = ""
    description: str = ""
    denied: Denied | None = None
    security: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    exempt: frozenset[str] = frozenset()
    accepts: tuple[str, ...] = ("application/json",)
    produces: str = "application/json"
    error_media_type: str = "application/json"
    challenge: str = 'Bearer realm="Trailgate"'

    def __post_init__(self) -> None:
        if self.mount and (not self.mount.startswith("/") or self.mount.endswith("/")):
            raise ValueError(f"surface {self.name}: mount {self.mount!r} must be empty or like '/changes'")

    def serves(self, path: str) -> bool:
        """Return whether a request path is under this mount."""
        return path == self.mount or path.startswith(self.mount + "/")


SURFACE: web.RequestKey[Surface] = web.RequestKey("surface", Surface)
"""The surface whose route matched; absent when no route did."""
