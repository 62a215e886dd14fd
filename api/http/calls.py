"""The words of the HTTP layer: what a handler receives and returns, what a route and a surface are."""

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
from domain.errors import Unauthenticated
from domain.identity.permissions import Permission, Principal
from domain.tenant import Tenant
from storage.database import Reader, Transaction
from storage.services import Services

MEBIBYTE = 1 << 20
REGION_HEADER = "X-Factstore-Region"
MAX_REGION_LENGTH = 64

SERVICES: web.AppKey[Services] = web.AppKey("services", Services)
STAGING: web.AppKey[Path] = web.AppKey("staging", Path)
"""The directory into which file parts are streamed; on the file system of the blob store, so that a rename promotes."""
REQUEST_ID: web.RequestKey[str] = web.RequestKey("request_id", str)
RECEIPT_ID: web.RequestKey[str] = web.RequestKey("receipt_id", str)
"""The receipt that a request was answered with: what its log line and those of the drain have in common."""

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
        """Who calls; raises `Unauthenticated` where nobody showed a credential."""
        if self.principal is None:
            raise Unauthenticated("This needs a credential")
        return self.principal

    @property
    def tenant(self) -> Tenant:
        """Whose rows this request may see and change."""
        return Tenant(self.caller.org_id, self.caller.org_slug)

    @property
    def actor(self) -> Actor:
        """Who the audit names: the principal, never what the body claims. The region is the caller's, else ours."""
        named = clean_text(REGION_HEADER, self.request.headers.get(REGION_HEADER, ""))
        region = named.strip()[:MAX_REGION_LENGTH] or self.services.settings.region
        return Actor(self.caller.id, self.caller.credential_id, self.request_id, region)

    def read(self) -> AbstractAsyncContextManager[Reader]:
        """A connection that reads."""
        return self.services.database.read()

    def transaction(self, *, dry_run: bool = False) -> AbstractAsyncContextManager[Transaction]:
        """All or nothing; a dry run does everything and keeps nothing."""
        return self.services.database.transaction(dry_run=dry_run)


Denied = Callable[[Call, Permission], Awaitable[None]]


@dataclass(frozen=True)
class Header:
    """Marks an argument as read from a header: `Annotated[bool, Header("X-Dry-Run")]`.

    `aliases` are older spellings, `query` the name of a query parameter that says the same; the first one given counts.
    """

    name: str
    aliases: tuple[str, ...] = ()
    query: str | None = None


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Reply(Generic[T]):
    """An answer that differs from the route's usual status or carries headers. `status` None means the route's."""

    body: T
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Preview(Reply[T]):
    """What a dry run answers: always with 200, and documented beside the route's own answer."""

    status: int | None = HTTPStatus.OK


@dataclass(frozen=True, slots=True)
class Upload:
    """A file part that was streamed to a staging file while being hashed.

    The handler promotes it by renaming `path` into the blob store; what is left after the call is deleted.
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
    """One line of a surface's table: the only place that knows a path and the right it needs.

    `permission` None makes the route exempt from credentials; the surface must list its handler in `exempt`.
    `errors` are the statuses beyond the derived ones (400, 401, 403, 404 with path parameters, 413, 415, 500).
    `max_body` in bytes counts the whole body, files included. `accepts` and `produces` default to the surface's.
    `examples` gives path parameters an example value; needed where a regex fits no usual one (`binding.register`).
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

    @property
    def name(self) -> str:
        """The handler's name, which is the operationId too."""
        return self.handler.__name__

    @property
    def plain_path(self) -> str:
        """The path without its regexes, as OpenAPI writes it: `/flows/{flow_id}`."""
        return PATH_PARAMETER.sub(r"{\1}", self.path)


PATH_PARAMETER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)(?::((?:[^{}]|\{[^{}]*\})+))?\}")
"""aiohttp's `{name}` or `{name:regex}`; a regex may hold one level of braces."""


def tagged(tag: str, *routes: Route) -> tuple[Route, ...]:
    """The routes under one heading of the document."""
    return tuple(replace(route, tag=tag) for route in routes)


@dataclass(frozen=True, eq=False)
class Surface:
    """A dialect: its base path, how it reads credentials, renders errors and names media types, and all its routes.

    `mount` is empty for the root, else begins with a slash and does not end with one.
    `denied` is told of a caller who lacks the permission, before the refusal. `security` holds the OpenAPI security
    schemes by name; any one of them suffices. `challenge` is the value of `WWW-Authenticate` (RFC 9110, section
    11.6.1). `exempt` names the handlers that need no credential.
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
        """Whether a request path lies under this mount."""
        return path == self.mount or path.startswith(self.mount + "/")


SURFACE: web.RequestKey[Surface] = web.RequestKey("surface", Surface)
"""The surface whose route matched; absent where the router itself refused."""
