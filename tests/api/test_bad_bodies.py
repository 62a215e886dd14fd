"""Bad bodies of every operation that takes one, walked over the route table."""

import gzip
import json
import re
import zlib
from collections.abc import AsyncIterator
from io import BytesIO
from types import NoneType
from typing import Any, get_args

import pytest
from aiohttp.test_utils import TestClient
from pydantic import BaseModel

from api.http.binding import Endpoint
from api.http.wire import field_keys
from tests.api.caller import Answer, Caller, sign
from tests.api.refusals import assert_refused, raw_request
from tests.api.table import WITH_BODY, body_model, example_of, name_of, url_of
from tests.api.walks import Walk
from tests.api.webhooks.sending import github_headers, let_in
from tests.api.world import make_world

pytestmark = pytest.mark.asyncio(loop_scope="session")


def nested(levels: int) -> bytes:
    return b'{"name":' + b"[" * levels + b"]" * levels + b"}"


HOSTILE: dict[str, bytes] = {
    "malformed": b'{"name": "x"',
    "not json": b"<xml/>",
    "empty": b"",
    "blank": b"  \n",
    "two values": b"{} {}",
    "single quotes": b"{'name': 'x'}",
    "invalid UTF-8": b'{"name": "\xff\xfe"}',
    "overlong UTF-8": b'{"name": "\xc0\x80"}',
    "UTF-16": '{"name": "x"}'.encode("utf-16"),
    "raw NUL": b'{"name": "a\x00b"}',
    "escaped NUL": b'{"name": "a\\u0000b"}',
    "NUL in a key": b'{"na\\u0000me": "x"}',
    "lone surrogate": b'{"name": "\\ud800"}',
    "lone low surrogate": b'{"name": "\\udc00x"}',
    "surrogate as bytes": b'{"name": "\xed\xa0\x80"}',
    "NaN": b'{"unknown": NaN}',
    "Infinity": b'{"unknown": -Infinity}',
    "infinite exponent": b'{"unknown": 1e999}',
    "2^64": b'{"unknown": 18446744073709551616}',
    "-2^63 - 1": b'{"unknown": -9223372036854775809}',
    "5,000 digits": b'{"unknown": ' + b"9" * 5000 + b"}",
    "depth 65": nested(65),
    "depth 100,000": nested(100_000),
    "unclosed depth": b"[" * 100_000,
    "a list": b"[]",
    "a text": b'"x"',
    "a number": b"1",
    "a bool": b"true",
}
MAY_BE_EMPTY = {"empty"}
"""What an optional body may be."""
HOSTILE_BODIES = Walk(WITH_BODY, requests=len(HOSTILE))


@HOSTILE_BODIES.routes()
async def test_hostile_bodies(admin: Caller, endpoint: Endpoint) -> None:
    optional = endpoint.signature.body is not None and endpoint.signature.body.default is None
    for name, raw in HOSTILE.items():
        if optional and name in MAY_BE_EMPTY:
            continue
        answer = await post_json(admin, endpoint, raw)
        assert answer.status == 400, (name, answer.text[:300])
        assert_refused(answer, 400)


async def post_json(caller: Caller, endpoint: Endpoint, raw: bytes, media: str = "application/json") -> Answer:
    return await caller.send(endpoint.route.method, url_of(endpoint), data=raw, headers={"Content-Type": media})


POISON = {
    "NUL": b'"a\\u0000b"',
    "surrogate": b'"\\udfff"',
    "NaN": b"NaN",
    "2^64": b"18446744073709551616",
}
POISONED_FIELDS = Walk(WITH_BODY, requests=len(POISON))


@POISONED_FIELDS.routes()
async def test_poison_is_named_by_its_field(admin: Caller, endpoint: Endpoint) -> None:
    for raw in POISON.values():
        answer = await post_json(admin, endpoint, b'{"outer": [0, {"inner": ' + raw + b"}]}")
        assert_refused(answer, 400, "outer.1.inner")


def wrong_for(model: type[BaseModel], name: str) -> list[Any]:
    """Values that no lenient reading can take for the field's type."""
    hint = model.model_fields[name].annotation
    kinds = {str(kind) for kind in (hint, *get_args(hint)) if kind is not NoneType}
    mapping = any("dict" in kind or "Mapping" in kind for kind in kinds)
    listing = any("list" in kind for kind in kinds)
    return [1.5, "text"] if mapping else [1.5, "text", {"a": 1}] if listing else [{"a": 1}, [[]]]


def wrong_values(endpoint: Endpoint) -> list[tuple[str, Any]]:
    """Each field on the wire with each of its wrong values."""
    model = body_model(endpoint)
    return [(field_keys(model, name)[0], wrong) for name in model.model_fields for wrong in wrong_for(model, name)]


WRONG_TYPES = Walk(WITH_BODY, requests=lambda endpoint: len(wrong_values(endpoint)))


@WRONG_TYPES.routes()
async def test_a_field_of_the_wrong_type_is_named(admin: Caller, endpoint: Endpoint) -> None:
    for alias, wrong in wrong_values(endpoint):
        body = json.dumps({**example_of(body_model(endpoint)), alias: wrong}).encode()
        answer = await post_json(admin, endpoint, body)
        assert answer.status == 400, (alias, wrong, answer.text)
        assert_refused(answer, 400)
        assert answer.fields[0].split(".")[0] == alias, (wrong, answer.text)


MEDIA = ("text/plain", "application/xml", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded")
CHARSETS = ("utf-16", "latin-1", "klingon", "utf-8x")
MEDIA_TYPES = Walk(WITH_BODY, requests=len(MEDIA + CHARSETS))


@MEDIA_TYPES.routes()
async def test_media_types(admin: Caller, endpoint: Endpoint) -> None:
    for media in MEDIA:
        if media.partition(";")[0] in endpoint.accepts:
            continue
        assert_refused(await post_json(admin, endpoint, b"{}", media), 415)
    for charset in CHARSETS:
        answer = await post_json(admin, endpoint, b"{}", f"application/json; charset={charset}")
        assert_refused(answer, 400, "Content-Type")


async def test_a_missing_media_type_is_415(admin: Caller) -> None:
    request = {"data": b"{}", "skip_auto_headers": ["Content-Type"]}
    assert_refused(await admin.send("POST", "/flows", **request), 415)


TOO_LONG = Walk(WITH_BODY, requests=2)


@TOO_LONG.routes()
async def test_a_body_over_the_cap_is_413(admin: Caller, endpoint: Endpoint) -> None:
    over = b'{"name": "' + b"x" * endpoint.route.max_body + b'"}'
    json_type = {"Content-Type": "application/json"}
    assert_refused(
        await admin.send(endpoint.route.method, url_of(endpoint), data=BytesIO(over), headers=json_type), 413
    )
    assert_refused(await admin.send(endpoint.route.method, url_of(endpoint), data=drip(over), headers=json_type), 413)


async def drip(body: bytes, part: int = 2**16) -> AsyncIterator[bytes]:
    """Chunked, so that no length is promised."""
    for start in range(0, len(body), part):
        yield body[start : start + part]


async def test_a_promised_length_over_the_cap_is_refused_without_reading(
    http: TestClient[Any, Any], api: Caller
) -> None:
    """Nothing of the body is ever sent: an answer shows that nobody waited for it."""
    length = b"Content-Length: 1099511627776"
    key, media = f"X-Api-Key: {api.key}".encode(), b"Content-Type: application/json"
    assert (await raw_request(http, [b"POST /api/v1/flows HTTP/1.1", key, media, length]))[0] == 413
    assert (await raw_request(http, [b"POST /api/v1/webhooks/github HTTP/1.1", length]))[0] == 413


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
async def test_a_bomb_is_413_and_a_dud_400(api: Caller, encoding: str) -> None:
    """The cap counts bytes after decompression; what does not unpack is the sender's mistake."""
    packed, headers = bomb(encoding), {"Content-Type": "application/json", "Content-Encoding": encoding}
    assert len(packed) < 100_000
    assert_refused(await api.send("POST", "/flows", data=packed, headers=headers), 413)
    assert_refused(await api.send("POST", "/flows", data=b"not packed at all", headers=headers), 400)
    assert_refused(await api.send("POST", "/flows", data=packed, headers=headers | {"Content-Encoding": "br"}), 415)


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
async def test_a_bomb_at_the_receiver_is_proven_before_it_is_inflated(api: Caller, encoding: str) -> None:
    sender, packed = await let_in(api), bomb(encoding)
    headers = github_headers(packed, "ping") | {"Content-Encoding": encoding}
    assert_refused(await sender.deliver(packed, headers, 413), 413)
    assert_refused(await sender.deliver(packed, headers | {"X-Hub-Signature-256": sign(b"")}, 401), 401)
    assert_refused(await sender.deliver(packed, headers | {"Content-Encoding": "br"}, 415), 415)


def bomb(encoding: str) -> bytes:
    blank = b" " * (20 << 20)
    return gzip.compress(blank) if encoding == "gzip" else zlib.compress(blank)


BENT: list[tuple[str, dict[str, Any], str]] = [
    ("/flows", {"name": 5}, "name"),
    ("/flows", {"name": "x", "requiresApproval": "on"}, "requiresApproval"),
    ("/flows", {"name": "x", "requiresApproval": 1}, "requiresApproval"),
    ("/trails/{trail_id}/attestations", {"type": "TEST", "passed": "yes"}, "passed"),
    ("/trails/{trail_id}/attestations", {"type": "TEST", "passed": 1}, "passed"),
    ("/trails/{trail_id}/attestations", {"type": "TEST", "passed": 0.0}, "passed"),
    ("/webhook-configs/{config_id}/rotate", {"secret": "s", "graceHours": "5"}, "graceHours"),
    ("/webhook-configs/{config_id}/rotate", {"secret": "s", "graceHours": True}, "graceHours"),
    ("/ledger/verify-chain", {"from": 5}, "from"),
    ("/ledger/verify-chain", {"to": "1700000000"}, "to"),
]


@pytest.mark.parametrize(("path", "body", "named"), BENT)
async def test_no_value_is_bent_into_another_type(api: Caller, path: str, body: dict[str, Any], named: str) -> None:
    """A wrong type is 400 and named: a `passed` of "no" must not be guessed at."""
    world = await make_world(api, *re.findall(r"{(\w+)}", path))
    assert (await api.post(path.format(**world), body, status=400)).fields == [named]


async def test_the_table_is_walked() -> None:
    """A walk over nothing would pass every test above."""
    walked = {name_of(endpoint) for endpoint in WITH_BODY}
    assert {"create_flow", "create_trail", "record_attestation", "rotate_webhook_secret"} <= walked
