"""Two small surfaces over one application: plain JSON at the root, a JSON:API-like one at /changes."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Generic, TypeVar, cast
from uuid import UUID

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, Json, JsonValue

from api.http.calls import SERVICES, STAGING, Call, Header, Reply, Route, Surface, Upload, tagged
from api.http.middleware import install
from api.http.problems import Problem
from api.http.transport.bodies import HANDLER_ARGS, Unread, read_body
from api.http.wire import Instant, WireIn, WireModel
from domain import errors
from domain.identity.permissions import Permission, Principal
from storage.services import Services

FLOW_ID = UUID("0198c0de-1111-7000-8000-000000000001")
ORG_ID = UUID("0198c0de-2222-7000-8000-000000000002")


@dataclass
class Seen:
    """What the handlers were given."""

    bodies: list[BaseModel] = field(default_factory=list)
    staged: list[tuple[Path, bytes]] = field(default_factory=list)


SEEN: web.AppKey[Seen] = web.AppKey("seen", Seen)


class Status(StrEnum):
    NON_COMPLIANT = "NON_COMPLIANT"
    PENDING = "PENDING"


class Detail(WireModel):
    field: str
    message: str


class ErrorOut(WireModel):
    """What every refusal is."""

    status: int
    error: str
    message: str
    timestamp: Instant
    path: str
    request_id: str
    details: list[Detail]


def plain_error(problem: Problem) -> ErrorOut:
    return ErrorOut(
        status=problem.status,
        error=problem.reason,
        message=problem.message,
        timestamp=problem.at,
        path=problem.path,
        request_id=problem.request_id,
        details=[Detail(field=one.field, message=one.message) for one in problem.details],
    )


class FlowIn(WireIn):
    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "payments"}]})

    name: str = Field(min_length=1, max_length=20)
    initial_status: Status = Status.PENDING
    is_active: bool = True
    weight: int | None = None
    started_at: Instant | None = None
    free: JsonValue = None


class FlowOut(WireModel):
    id: UUID
    name: str
    initial_status: Status
    is_active: bool
    weight: int | None
    started_at: Instant | None
    free: JsonValue
    dry_run: bool = False


class FlowQuery(WireIn):
    page: int = Field(default=0, ge=0, description="Counts from 0")
    size: int = Field(default=20, ge=1, le=500)
    status: list[Status] = Field(default=[])
    page_after: UUID | None = Field(default=None, alias="page[after]")


T = TypeVar("T")
DryRun = Annotated[bool, Header("X-Dry-Run", ("X-Factstore-Dry-Run",), query="dryRun")]


class Page(WireModel, Generic[T]):
    items: list[T]
    page: int
    size: int
    total_items: int
    status: list[Status]


class EvidenceData(WireIn):
    name: str
    tags: dict[str, JsonValue] = Field(default={})


class EvidenceForm(BaseModel):
    data_json: Json[EvidenceData]
    comment: str | None = None
    file: Upload
    attachments: list[Upload] = Field(default=[])


class EvidenceOut(WireModel):
    name: str
    comment: str | None
    file_name: str
    sha256: str
    size: int
    attachments: int


class LoginForm(WireIn):
    user: str
    scope: list[str] = Field(default=[])


def _flow(body: FlowIn, *, dry_run: bool = False) -> FlowOut:
    return FlowOut(id=FLOW_ID, dry_run=dry_run, **body.model_dump())


async def list_flows(call: Call, query: FlowQuery) -> Page[FlowOut]:
    """List flows."""
    return Page(items=[], page=query.page, size=query.size, total_items=0, status=query.status)


async def create_flow(
    call: Call,
    body: FlowIn,
    dry_run: DryRun = False,
) -> FlowOut:
    """Create a flow.

    With X-Dry-Run nothing is stored.
    """
    call.request.app[SEEN].bodies.append(body)
    return _flow(body, dry_run=dry_run)


async def get_flow(call: Call, flow_id: UUID) -> FlowOut:
    """Read one flow."""
    if flow_id != FLOW_ID:
        raise errors.NotFound("No such flow")
    return FlowOut(
        id=flow_id, name="a", initial_status=Status.PENDING, is_active=True, weight=None, started_at=None, free=None
    )


async def delete_flow(call: Call, flow_id: UUID) -> None:
    """Archive a flow."""


async def move_flow(call: Call, flow_id: UUID, status: Status, times: int) -> Reply[FlowOut]:
    """Move a flow, and say where it went."""
    flow = await get_flow(call, flow_id)
    return Reply(flow, status=202, headers={"Location": f"/api/v1/flows/{flow_id}", "X-Times": str(times)})


async def find_snapshot(call: Call, expression: str) -> dict[str, str]:
    """Find a snapshot by an expression such as `prod@{2.hours.ago}`."""
    return {"expression": expression, "caller": str(call.caller.org_slug)}


async def add_evidence(call: Call, flow_id: UUID, form: EvidenceForm) -> EvidenceOut:
    """Attach a file."""
    staged = [form.file, *form.attachments]
    call.request.app[SEEN].staged.extend((one.path, one.path.read_bytes()) for one in staged)
    if form.comment == "keep":
        form.file.path.rename(form.file.path.with_name("kept"))
    if form.comment == "refuse":
        raise errors.Conflict("Already there")
    return EvidenceOut(
        name=form.data_json.name,
        comment=form.comment,
        file_name=form.file.file_name,
        sha256=form.file.sha256,
        size=form.file.size,
        attachments=len(form.attachments),
    )


async def import_flows(call: Call, body: list[FlowIn] | None = None, form: LoginForm | None = None) -> list[str]:
    """Take JSON, a form, or nothing at all."""
    return [one.name for one in body] if body else [form.user, *form.scope] if form else []


async def receive(call: Call, raw: Unread) -> Reply[None]:
    """Take whatever comes."""
    length = len(await read_body(raw.request, raw.max_body))
    return Reply(None, status=202, headers={"X-Length": str(length), "X-Anonymous": str(call.principal is None)})


async def stream(call: Call, name: str) -> web.StreamResponse:
    """Stream some bytes, and break off when asked to."""
    response = web.StreamResponse(headers={"Content-Type": "application/octet-stream"})
    await response.prepare(call.request)
    if name != "unwritten":
        await response.write(b"first half, ")
    match name:
        case "whole":
            await response.write(b"second half")
        case "refused":
            raise errors.NotFound("too late")
        case _:
            raise RuntimeError("secret of the stream")
    return response


FAILURES: dict[str, Exception] = {
    "invalid": errors.Invalid("no", [errors.FieldError("tags.team", "unknown")]),
    "unauthenticated": errors.Unauthenticated("no"),
    "forbidden": errors.Forbidden("no"),
    "notfound": errors.NotFound("no"),
    "conflict": errors.Conflict("no", "race"),
    "gone": errors.Gone("no"),
    "stale": errors.Stale("no"),
    "toolarge": errors.TooLarge("no"),
    "unsupported": errors.UnsupportedMedia("no"),
    "rejected": errors.Rejected("no", [errors.FieldError("a", "b")]),
    "throttled": errors.Throttled("no", 7),
    "upstream": errors.Upstream("no"),
    "unavailable": errors.Unavailable("no", 3),
    "unknown": RuntimeError("password=hunter2"),
    "timeout": TimeoutError("password=hunter2"),
    "teapot": web.HTTPRequestRangeNotSatisfiable(text="no"),
    "redirect": web.HTTPFound("/elsewhere"),
}


async def fail(call: Call, kind: str) -> None:
    """Fail as asked."""
    if kind == "output":
        ErrorOut.model_validate({})
    raise FAILURES[kind]


FACTS_ROUTES = (
    *tagged(
        "Flows",
        Route("GET", "/api/v1/flows", list_flows, Permission.FACTS_READ),
        Route("POST", "/api/v1/flows", create_flow, Permission.FACTS_MANAGE, status=201, errors=(409,)),
        Route("GET", "/api/v1/flows/{flow_id}", get_flow, Permission.FACTS_READ),
        Route("DELETE", "/api/v1/flows/{flow_id}", delete_flow, Permission.FACTS_MANAGE, errors=(412, 429)),
        Route("PUT", "/api/v1/flows/{flow_id}/{status}/{times}", move_flow, Permission.FACTS_MANAGE),
    ),
    *tagged(
        "Evidence",
        Route(
            "POST",
            "/api/v1/flows/{flow_id}/evidence",
            add_evidence,
            Permission.EVIDENCE_WRITE,
            status=201,
            max_body=3 << 20,
        ),
        Route("GET", r"/api/v1/snapshots/{expression:.+}", find_snapshot, Permission.FACTS_READ),
    ),
    Route(
        "POST",
        "/api/v1/imports",
        import_flows,
        Permission.FACTS_MANAGE,
        accepts=("application/json", "application/x-www-form-urlencoded"),
    ),
    Route("POST", "/api/v1/receive", receive, None, max_body=1000),
    Route("GET", "/api/v1/stream/{name}", stream, Permission.FACTS_READ, produces="application/octet-stream"),
    Route("GET", "/api/v1/fail/{kind}", fail, Permission.FACTS_READ),
)


class ChangeError(BaseModel):
    errors: list[dict[str, Any]]


def json_api_error(problem: Problem) -> ChangeError:
    return ChangeError(errors=[{"status": str(problem.status), "title": problem.reason, "detail": problem.message}])


async def create_change(call: Call, body: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """Create a change."""
    return body


async def authenticate(request: web.Request) -> Principal | None:
    """`X-API-Key: admin|viewer` is a caller, none is nobody, another one is wrong."""
    key = request.headers.get("X-API-Key")
    if key is None:
        return None
    granted = {"admin": frozenset(Permission), "viewer": frozenset({Permission.FACTS_READ})}
    if key not in granted:
        raise errors.Unauthenticated("The API key does not hold")
    return Principal(FLOW_ID, "user", ORG_ID, "default", key, granted[key])


SECURITY = {"apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"}}

FACTS = Surface(
    name="facts",
    title="Facts",
    version="v1",
    description="What happened.",
    error_model=ErrorOut,
    render=plain_error,
    authenticate=authenticate,
    security=SECURITY,
    routes=FACTS_ROUTES,
    exempt=frozenset({"receive"}),
)
CHANGES = Surface(
    name="changes",
    mount="/changes",
    title="Changes",
    version="v1",
    error_model=ChangeError,
    render=json_api_error,
    authenticate=authenticate,
    security=SECURITY,
    accepts=("application/vnd.api+json", "application/json"),
    produces="application/vnd.api+json",
    error_media_type="application/vnd.api+json",
    routes=(Route("POST", "/api/changes", create_change, Permission.CHANGES_EXECUTE, status=201),),
)


def sample_app(staging: Path) -> web.Application:
    app = web.Application(handler_args=HANDLER_ARGS)
    app[SERVICES] = cast("Services", None)
    app[SEEN] = Seen()
    app[STAGING] = staging
    install(app, (FACTS, CHANGES))
    return app


async def drip(*parts: bytes, pause: float = 0.0) -> AsyncIterator[bytes]:
    """A request body that comes in pieces."""
    for part in parts:
        yield part
        await asyncio.sleep(pause)


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
