"""`Idempotency-Key`: a request that is sent again gets the answer of the first one, and changes nothing.

As draft-ietf-httpapi-idempotency-key-header has it, with one thing made certain: the answer is kept in the transaction
of its effect, so that no crash can come between the two. To that end a handler that is called for a key is given
services whose database is that one open transaction. Refusals are raised, roll it back and are not kept. A dry run
changes nothing and needs no key; one that is given is ignored.
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
"""Seconds that a request waits for the first one of its key."""
FIRST_LOOK, LAST_LOOK = 0.02, 0.25
"""Seconds between two looks, growing from one to the other; no connection is held meanwhile."""
MAX_PATH = 1024
"""Longer paths are kept as their hash: an index row has its limits."""

Perform = Callable[[Call], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Keyed:
    """A request that named a key, and the hash of all that makes it that request."""

    slot: Slot
    fingerprint: bytes


def takes_key(route: Route, signature: Arguments) -> bool:
    """Whether a route changes something for a known caller: whatever can be rehearsed can be repeated."""
    rehearsable = any(parameter.argument == "dry_run" for parameter in signature.parameters)
    return route.permission is not None and route.method in UNSAFE and rehearsable


def keyed(call: Call, signature: Arguments, content: bytes | BaseModel) -> Keyed | None:
    """The request under its key, None without one. Raises Invalid unless the key is 1 to 255 visible ASCII characters.

    `content` is the body as it came, or the form: of files their hashes count, because no boundary comes twice.
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
    """Organisation, address, the headers that the handler reads, and the content."""
    marks = [parameter.header for parameter in signature.parameters if parameter.header]
    names = [name for mark in marks for name in (mark.name, *mark.aliases)]
    told = {
        "organisation": str(call.caller.org_id),
        "target": call.request.rel_url.raw_path_qs,
        "headers": {name: call.request.headers.getall(name, []) for name in names},
        "content": sha256(content).hexdigest() if isinstance(content, bytes) else content,
    }
    return sha256(json.dumps(told, default=_told, sort_keys=True).encode()).digest()


def _told(value: Any) -> Any:
    if isinstance(value, Upload):
        return [value.file_name, value.content_type, value.sha256]
    return dict(value) if isinstance(value, BaseModel) else str(value)


async def once(call: Call, request: Keyed, perform: Perform) -> web.StreamResponse:
    """Perform, or answer as the first request of this key was answered; one at work is waited for.

    Raises Rejected where the key belongs to another request, and Conflict where the first one is at work for too long
    or had an answer too long to be kept.
    """
    now = asyncio.get_running_loop().time
    deadline, pause = now() + TIMEOUT_WAIT, FIRST_LOOK
    while (answer := await _attempt(call, request, perform)) is None:
        if now() >= deadline:
            raise Conflict(f"Another request with this {HEADER} is still at work; send this one again shortly", "race")
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, LAST_LOOK)
    return answer


async def _attempt(call: Call, request: Keyed, perform: Perform) -> web.StreamResponse | None:
    """The answer, or None while another request of this key is at work."""
    database, envelope = call.services.database, call.services.envelope
    async with database.transaction() as tx:
        if not await occupy(tx, request.slot):
            return None
        if kept := await kept_answer(tx, envelope, request.slot):
            return _again(kept, request.fingerprint)
        response = await perform(replace(call, services=replace(call.services, database=database.within(tx))))
        answer = KeptAnswer.of(request.fingerprint, response.status, _headers(response), _body(response))
        await keep_answer(tx, envelope, call.caller.org_id, request.slot, answer)
    return response


def _again(kept: KeptAnswer, fingerprint: bytes) -> web.Response:
    if kept.request_sha256 != fingerprint:
        raise Rejected(f"{HEADER}: this key was used for another request within the last 24 hours; take a new one")
    if not kept.whole:
        raise Conflict("This was done before, and its answer was too long to be kept: read what it made", "state")
    headers = {name: value for name, value in kept.headers.items() if name != "Content-Length"}
    return web.Response(status=kept.status, body=kept.body or None, headers={**headers, REPLAYED: "true"})


def _headers(response: web.StreamResponse) -> Mapping[str, str]:
    return dict(response.headers)


def _body(response: web.StreamResponse) -> bytes:
    if not isinstance(response, web.Response) or not isinstance(response.body, bytes | None):
        raise TypeError("an answer that is streamed cannot be kept under an Idempotency-Key")
    return response.body or b""
