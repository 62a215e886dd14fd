"""Hostile requests: none of them may be a 500, and each answer names what is wrong."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient
from pydantic import TypeAdapter
from pytest_aiohttp import AiohttpClient
from yarl import URL

from api.http.binding import _read_body
from api.http.reading import MAX_ON_LOOP
from tests.api.http.sample import FLOW_ID, sample_app

ADMIN = {"X-API-Key": "admin"}
JSON = {**ADMIN, "Content-Type": "application/json"}


@pytest.fixture
async def client(aiohttp_client: AiohttpClient, tmp_path: Path) -> TestClient[Any, Any]:
    return await aiohttp_client(sample_app(tmp_path))


def flow(free: bytes) -> bytes:
    return b'{"name": "x", "free": ' + free + b"}"


@pytest.mark.parametrize(
    ("body", "field", "said"),
    [
        (flow(b"[" * 100_000 + b"]" * 100_000), "", "recursion limit"),
        (flow(b"[" * 500 + b"]" * 500), "free.0.0", "64 levels"),
        (flow(b"[" * 64 + b"]" * 64), "free.0.0", "64 levels"),
        (b'{"name": "x", "weight": ' + b"1" * 5000 + b"}", "weight", "64 bits"),
        (flow(b"1" * 5000), "free", "64 bits"),
        (flow(b'{"n": 9223372036854775808}'), "free.n", "64 bits"),
        (b'{"name": "\xff\xfe"}', "", "Invalid JSON"),
        (flow(b"NaN"), "free", "finite"),
        (flow(b'{"a": [-Infinity]}'), "free.a.0", "finite"),
        (flow(b"1e999"), "free", "finite"),
        (rb'{"name": "a\u0000b"}', "name", "NUL"),
        (b'{"name": "a\0b"}', "name", "NUL"),
        (flow(rb'{"\u0000": 1}'), "free", "NUL"),
        (flow(rb'"\ud800"'), "free", "Unicode"),
        (b"[]", "", "object"),
        (b"null", "", "object"),
        (b"", "", "Invalid JSON"),
        (b"{}}", "", "Invalid JSON"),
        (b'{"name": "x", "startedAt": "0001-01-01T00:00:00+14:00"}', "startedAt", "years"),
        (b'{"name": "x", "startedAt": 1e300}', "startedAt", ""),
    ],
)
async def test_hostile_json(client: TestClient[Any, Any], body: bytes, field: str, said: str) -> None:
    response = await client.post("/api/v1/flows", data=body, headers=JSON)
    answer = await response.json()
    assert (response.status, said in answer["message"]) == (400, True), answer
    named = answer["details"][0]["field"]
    assert named.startswith(field) if field else named == ""


@pytest.mark.parametrize("size", [100, MAX_ON_LOOP])
async def test_only_a_large_body_is_read_in_a_thread(size: int) -> None:
    """Where the loop goes on meanwhile."""
    turn = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(turn.set_result, None)
    assert await _read_body(TypeAdapter(str), b'"' + b"x" * size + b'"') == "x" * size
    assert turn.done() is (size == MAX_ON_LOOP)
    await turn


async def test_duplicate_keys_the_last_wins(client: TestClient[Any, Any]) -> None:
    response = await client.post("/api/v1/flows", data=b'{"name": "a", "name": "b"}', headers=JSON)
    assert (await response.json())["name"] == "b"


async def test_a_byte_order_mark_is_no_obstacle(client: TestClient[Any, Any]) -> None:
    response = await client.post("/api/v1/flows", data=b'\xef\xbb\xbf{"name": "a"}', headers=JSON)
    assert response.status == 201


@pytest.mark.parametrize("charset", ["foo", "iso-8859-1", "utf-16", "''"])
async def test_other_charsets_are_refused(client: TestClient[Any, Any], charset: str) -> None:
    headers = ADMIN | {"Content-Type": f"application/json; charset={charset}"}
    response = await client.post("/api/v1/flows", data=b'{"name": "x"}', headers=headers)
    assert response.status == 400
    assert (await response.json())["details"][0]["field"] == "Content-Type"


@pytest.mark.parametrize(
    "declared", ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ";", "json", "a/b+json"]
)
async def test_other_media_types_are_415(client: TestClient[Any, Any], declared: str) -> None:
    headers = ADMIN | {"Content-Type": declared}
    response = await client.post("/api/v1/flows", data=b'{"name": "x"}', headers=headers)
    assert response.status == 415


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/api/v1/flows?size=%00", "size"),
        ("/api/v1/flows?status=a%00", "status"),
        ("/api/v1/flows/%00", "flow_id"),
        ("/api/v1/snapshots/a%00b", "expression"),
    ],
)
async def test_nul_in_the_address(client: TestClient[Any, Any], path: str, field: str) -> None:
    response = await client.get(URL(path, encoded=True), headers=ADMIN)
    answer = await response.json()
    assert (response.status, answer["details"][0]["field"]) == (400, field)
    assert "NUL" in answer["message"]


async def exchange(client: TestClient[Any, Any], request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(client.host, client.port)
    writer.write(request)
    received = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    await writer.wait_closed()
    return received


TARGETS = [
    b"/\xff\xfe",
    b"/api/v1/snapshots/\xff",
    b"/api/v1/snapshots/%ff",
    b"/api/v1/flows?size=\xff",
    b"/changes/\xc3",
]


@pytest.mark.parametrize("target", TARGETS)
async def test_undecodable_bytes_in_the_address(client: TestClient[Any, Any], target: bytes) -> None:
    request = b"GET " + target + b" HTTP/1.1\r\nHost: x\r\nX-API-Key: admin\r\nConnection: close\r\n\r\n"
    status = (await exchange(client, request)).split(b" ", 2)[1]
    assert status in (b"200", b"400", b"404")


async def test_undecodable_bytes_in_a_header(client: TestClient[Any, Any]) -> None:
    head = b"POST /api/v1/flows HTTP/1.1\r\nHost: x\r\nX-API-Key: admin\r\nX-Dry-Run: \xff\r\nConnection: close\r\n"
    body = b'{"name": "x"}'
    rest = b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    received = await exchange(client, head + rest)
    assert received.startswith(b"HTTP/1.1 400 ")
    assert b"X-Dry-Run" in received


FORM = "multipart/form-data; boundary=b"


def field(name: bytes, content: bytes) -> bytes:
    return b'--b\r\nContent-Disposition: form-data; name="' + name + b'"\r\n\r\n' + content + b"\r\n--b--\r\n"


@pytest.mark.parametrize(
    ("declared", "body"),
    [
        ("multipart/form-data", b"x"),
        ("multipart/form-data; boundary=", b"x"),
        ("multipart/form-data; boundary=" + "b" * 100, b"x"),
        (FORM, b""),
        (FORM, b"no boundary at all"),
        (FORM, b"--b\r\n"),
        (FORM, b"--b--\r\n"),
        (FORM, field(b"file", b"endless")[:-7]),
        (FORM, b"--b\r\nbroken header\r\n\r\nx\r\n--b--\r\n"),
        (FORM, b"--b\r\n" + b"X: y\r\n" * 200 + b"\r\nx\r\n--b--\r\n"),
        (FORM, b"--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c--\r\n--b--\r\n"),
        (FORM, field(b"_charset_", b"x" * 50)),
        (FORM, field(b"comment", b"\xff")),
        (FORM, field(b"comment", b"a\0b")),
        (FORM, field(b"data_json", b'{"name": "x", "tags": {"a": NaN}}')),
        (FORM, field(b"\xff", b"x")),
    ],
)
async def test_broken_forms(client: TestClient[Any, Any], tmp_path: Path, declared: str, body: bytes) -> None:
    path = f"/api/v1/flows/{FLOW_ID}/evidence"
    response = await client.post(path, data=body, headers=ADMIN | {"Content-Type": declared})
    assert response.status == 400, await response.text()
    assert list(tmp_path.iterdir()) == []
