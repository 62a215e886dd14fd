"""`Idempotency-Key`: a repeated request gets the answer of the first one and changes nothing.

This follows draft-ietf-httpapi-idempotency-key-header. The answer is stored in the same transaction as the effect, so
that no crash can separate the two: the handler gets services whose database is that open transaction. Errors are
raised, roll it back and are not stored. A dry run changes nothing, so its key is ignored.
"""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

from aiohttp import web
from pydantic import BaseModel

from api.http.arguments import Arguments
from api.http.calls import Call, Route, Upload
from domain.errors import Conflict, Invalid, Rejected
from storage.idempotency.commands import KeptAnswer, Slot, keep_answer, kept_answer, occupy

HEADER = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"
MAX_KEY = 255
VISIBLE = re.compile(rf"[!-~]{{1,{MAX_KEY}}}")
UNSAFE = frozenset({"POST", "PUT", "PATCH", "DELETE"})
TIMEOUT_WAIT = 5.0
"""Seconds that a repeated request waits for the first one to finish."""
FIRST_PAUSE, LAST_PAUSE = 0.02, 0.25
"""The shortest and longest pause between two attempts, in seconds; no connection is held meanwhile."""
MAX_PATH = 1024
"""Characters of a path stored as it is; a longer one is stored as its hash, as index rows are limited in size."""

Perform = Callable[[Call], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Keyed:
    """A request with a key, and the fingerprint that tells it from other requests."""

    slot: Slot
    fingerprint: bytes


def takes_key(route: Route, signature: Arguments) -> bool:
    """Return whether a route accepts a key: it makes changes for a known caller and supports dry runs."""
    has_dry_run = any(parameter.argument == "dry_run" for parameter in signature.parameters)
    return route.permission is not None and route.method in UNSAFE and has_dry_run


def keyed(call: Call, signature: Arguments, content: bytes | BaseModel) -> Keyed | None:
    """Return the request with its key, or None without a key.

    `content` is the raw body, or the parsed form: a repeated multipart body has another boundary, so the fingerprint
    covers its fields and the hashes of its files. Raises Invalid unless the key is 1 to 255 visible ASCII characters.
    """
    given = call.request.headers.getall(HEADER, ())
    if not given:
        return None
    if len(given) > 1:
        raise Invalid.of(HEADER, "given twice")
    if not VISIBLE.fullmatch(given[0]):
        raise Invalid.of(HEADER, f"must be 1 to {MAX_KEY} visible ASCII characters")
    path = call.request.rel_url.raw_path
    kept_path = path if len(path) <= MAX_PATH else sha256(path.encode()).hexdigest()
    slot = Slot(call.caller.id, call.request.method, kept_path, given[0])
    return Keyed(slot, _fingerprint(call, signature, content))


def _fingerprint(call: Call, signature: Arguments, content: bytes | BaseModel) -> bytes:
    """Return the hash of organisation and scopes, the target, the headers that the handler reads, and the content."""
    marks = [parameter.header for parameter in signature.parameters if parameter.header]
    names = [name for mark in marks for name in (mark.name, *mark.aliases)]
    identity = {
        "organisation": str(call.caller.org_id),
        **({"scopes": call.caller.scopes.texts} if call.caller.scopes else {}),
        "target": call.request.rel_url.raw_path_qs,
        "headers": {name: call.request.headers.getall(name, []) for name in names},
        "content": sha256(content).hexdigest() if isinstance(content, bytes) else content,
    }
    return sha256(json.dumps(identity, default=_jsonable, sort_keys=True).encode()).digest()


def _jsonable(value: Any) -> Any:
    if isinstance(value, Upload):
        return [value.file_name, value.content_type, value.sha256]
    return dict(value) if isinstance(value, BaseModel) else str(value)


async def once(call: Call, request: Keyed, perform: Perform) -> web.StreamResponse:
    """Perform the request, or return the stored answer of the first request with this key, waiting for it to finish.

    Raises Rejected when the key belongs to another request, and Conflict when the first one takes too long or its
    answer was too long to be stored.
    """
    now = asyncio.get_running_loop().time
    deadline, pause = now() + TIMEOUT_WAIT, FIRST_PAUSE
    while (answer := await _attempt(call, request, perform)) is None:
        if now() >= deadline:
            raise Conflict(f"A request with this {HEADER} is still in progress; send this one again shortly", "race")
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, LAST_PAUSE)
    return answer


async def known_answer(call: Call, request: Keyed) -> web.StreamResponse | None:
    """Return the stored answer if there is one already. Raises Rejected and Conflict as `once` does."""
    async with call.transaction() as tx:
        kept = await kept_answer(tx, call.services.envelope, request.slot)
    return _replayed(kept, request.fingerprint) if kept else None


async def _attempt(call: Call, request: Keyed, perform: Perform) -> web.StreamResponse | None:
    """Return the answer, or None while another request with this key is in progress."""
    database, envelope = call.database, call.services.envelope
    async with database.transaction() as tx:
        if not await occupy(tx, request.slot):
            return None
        if kept := await kept_answer(tx, envelope, request.slot):
            return _replayed(kept, request.fingerprint)
        response = await perform(replace(call, services=replace(call.services, database=database.within(tx))))
        answer = KeptAnswer.of(request.fingerprint, response.status, _headers(response), _body(response))
        await keep_answer(tx, envelope, call.caller.org_id, request.slot, answer)
    return response


def _replayed(kept: KeptAnswer, fingerprint: bytes) -> web.Response:
    if kept.request_sha256 != fingerprint:
        raise Rejected(f"{HEADER}: this key was used for another request within the last 24 hours; use a new key")
    if not kept.whole:
        raise Conflict(
            "This request was already performed, but its answer was too long to be stored; read the resource instead",
            "state",
        )
    headers = {name: value for name, value in kept.headers.items() if name != "Content-Length"}
    return web.Response(status=kept.status, body=kept.body or None, headers={**headers, REPLAYED: "true"})


def _headers(response: web.StreamResponse) -> Mapping[str, str]:
    return dict(response.headers)


def _body(response: web.StreamResponse) -> bytes:
    if not isinstance(response, web.Response) or not isinstance(response.body, bytes | None):
        raise TypeError("a streamed answer cannot be stored under an Idempotency-Key")
    return response.body or b""
