"""Downloads of evidence: ranges and conditions of RFC 9110."""

import asyncio
import hashlib
import json
import re
from email.message import Message
from typing import Any
from urllib.parse import unquote
from uuid import uuid4

import pytest
from structlog.testing import capture_logs

from api.http.transport.downloads import content_disposition
from storage.blobs.store import CHUNK
from storage.services import Services
from tests.api.caller import V1, Caller, make_holder
from tests.api.facts.test_evidence import reference, sha
from tests.api.refusals import raw_request
from tests.api.times import assert_times
from tests.api.uploading import Attested, fetch
from tests.journeys.waiting import eventually
from workers.seal import Sealer

pytestmark = pytest.mark.asyncio(loop_scope="session")

TEN = b"0123456789"


def large(chunks: int) -> bytes:
    """So many chunks and a little, unlike any other."""
    return hashlib.sha256(uuid4().bytes).digest() * (CHUNK // 32) * chunks + b"end"


async def kept(api: Caller, content: bytes, name: str = "report.txt", media: str = "text/plain") -> Any:
    return (await (await Attested.made(api)).send(content, f'name="file"; filename="{name}"', media=media)).json


async def accesses(api: Caller, made: Any) -> list[Any]:
    """What the audit holds on who took this evidence away, oldest first."""
    page = await api.get(f"/audit?trailId={made['trailId']}&eventType=EVIDENCE_ACCESSED&sortDesc=false")
    told = [event["payload"] for event in page.json["events"]]
    return [one if isinstance(one, dict) else json.loads(one) for one in told]


@pytest.mark.parametrize(
    "content", [b"a", TEN, large(1)[:CHUNK], large(1), large(3)], ids=["1", "10", "1 MiB", "more", "3"]
)
async def test_what_was_kept_comes_back(api: Caller, content: bytes) -> None:
    made = await kept(api, content)
    for spelling in (made["sha256Hash"], f"sha256:{made['sha256Hash']}", made["sha256Hash"].upper()):
        answer = await fetch(api, f"/evidence/{spelling}")
        assert answer.status == 200
        assert answer.body == content
    headers = {name.title(): answer.headers[name] for name in answer.headers}
    for volatile in ("Date", "Server", "X-Request-Id", "Ratelimit-Limit", "Ratelimit-Remaining", "Ratelimit-Reset"):
        headers.pop(volatile)
    assert headers == {
        "Content-Type": "text/plain",
        "Content-Length": str(len(content)),
        "Content-Disposition": "attachment; filename=\"report.txt\"; filename*=UTF-8''report.txt",
        "Accept-Ranges": "bytes",
        "Etag": f'"sha256:{made["sha256Hash"]}"',
        "Cache-Control": "private, no-cache",
        "Content-Security-Policy": "sandbox",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
        "Referrer-Policy": "no-referrer",
        "X-Frame-Options": "DENY",
        "X-Content-Type-Options": "nosniff",
        "X-Factstore-Region": "us-east-1",
    }


async def test_of_the_same_content_the_oldest_file_names_it_and_a_kept_one_before_a_reference(api: Caller) -> None:
    content = large(0)
    referring = await Attested.made(api)
    await api.post(referring.path, reference(sha256Hash=sha(content), fileSizeBytes=len(content)))
    first = await kept(api, content, "first")
    await kept(api, content, "second")
    answer = await fetch(api, f"/evidence/{first['sha256Hash']}")
    assert answer.body == content
    assert 'filename="first"' in answer.headers["Content-Disposition"]


RANGES = [
    ("bytes=0-0", 206, "bytes 0-0/10"),
    ("bytes=2-4", 206, "bytes 2-4/10"),
    ("bytes=2-", 206, "bytes 2-9/10"),
    ("bytes=9-", 206, "bytes 9-9/10"),
    ("bytes=5-999999999999999999999", 206, "bytes 5-9/10"),
    ("bytes=-3", 206, "bytes 7-9/10"),
    ("Bytes= 2 - 4 ", 206, "bytes 2-4/10"),
    ("bytes=-10", 200, None),
    ("bytes=-11", 200, None),
    ("bytes=0-", 200, None),
    ("bytes=0-9", 200, None),
    ("bytes=10-", 416, "bytes */10"),
    ("bytes=99-100", 416, "bytes */10"),
    ("bytes=-0", 416, "bytes */10"),
    ("bytes=4-2", 200, None),
    ("bytes=0-1,4-5", 200, None),
    ("bytes=a-b", 200, None),
    ("bytes=--1", 200, None),
    ("bytes=-", 200, None),
    ("bytes=\u0661-2", 200, None),
    ("bytes=" + "9" * 5000 + "-", 200, None),
    ("items=0-1", 200, None),
    ("", 200, None),
]


@pytest.mark.parametrize(("asked", "status", "told"), RANGES, ids=[asked[:20] for asked, *_ in RANGES])
async def test_ranges(api: Caller, asked: str, status: int, told: str | None) -> None:
    made = await kept(api, TEN)
    answer = await fetch(api, f"/evidence/{made['sha256Hash']}", Range=asked)
    assert (answer.status, answer.headers.get("Content-Range")) == (status, told)
    if status == 416:
        assert json.loads(answer.body)["status"] == 416
        assert await accesses(api, made) == []
        return
    found = re.match(r"bytes (\d+)-(\d+)/", told or "bytes 0-9/10")
    assert found is not None
    assert answer.body == TEN[int(found[1]) : int(found[2]) + 1]
    assert answer.headers["Content-Length"] == str(len(answer.body))
    assert [one["contentRange"] for one in await accesses(api, made)] == [told]


async def test_a_range_across_chunks(api: Caller) -> None:
    content = large(2)
    made = await kept(api, content)
    start, stop = CHUNK - 5, 2 * CHUNK + 2
    answer = await fetch(api, f"/evidence/{made['sha256Hash']}", Range=f"bytes={start}-{stop}")
    assert (answer.status, answer.body) == (206, content[start : stop + 1])


async def test_a_range_of_other_content_is_ignored(api: Caller) -> None:
    made = await kept(api, TEN)
    etag = f'"sha256:{made["sha256Hash"]}"'
    for given, status in ((etag, 206), ('"other"', 200), (f"W/{etag}", 200), ("Sun, 22 Nov 2026 00:00:00 GMT", 200)):
        answer = await fetch(api, f"/evidence/{made['sha256Hash']}", Range="bytes=1-2", If_Range=given)
        assert answer.status == status


async def test_who_has_it_is_told_so_and_nothing_is_audited(api: Caller) -> None:
    made = await kept(api, TEN)
    path, etag = f"/evidence/{made['sha256Hash']}", f'"sha256:{made["sha256Hash"]}"'
    for known in (etag, f"W/{etag}", "*", f'"x", {etag}'):
        answer = await fetch(api, path, If_None_Match=known)
        assert (answer.status, answer.body, answer.headers["ETag"]) == (304, b"", etag)
    head = await fetch(api, path, "HEAD")
    assert (head.status, head.body, head.headers["Content-Length"]) == (200, b"", "10")
    part = await fetch(api, path, "HEAD", Range="bytes=1-2")
    assert (part.status, part.headers["Content-Length"], part.headers["Content-Range"]) == (206, "2", "bytes 1-2/10")
    assert await accesses(api, made) == []
    assert (await fetch(api, path, If_None_Match='"other"')).status == 200
    [access] = await accesses(api, made)
    assert (access["evidenceId"], access["contentRange"]) == (made["id"], None)


@pytest.mark.parametrize(
    ("stored", "told"),
    [
        ("text/html", "application/octet-stream"),
        ("image/svg+xml", "application/octet-stream"),
        ("application/xhtml+xml", "application/octet-stream"),
        ("text/javascript", "application/octet-stream"),
        ("application/pdf", "application/octet-stream"),
        ("Application/JSON; charset=utf-8", "application/json"),
        ("image/png", "image/png"),
    ],
)
async def test_only_harmless_types_are_told(api: Caller, stored: str, told: str) -> None:
    made = await kept(api, uuid4().bytes, media=stored)
    assert made["contentType"] == stored
    answer = await fetch(api, f"/evidence/{made['sha256Hash']}")
    assert answer.headers["Content-Type"] == told
    assert answer.headers["Content-Security-Policy"] == "sandbox"


NAMES = [
    "plain.txt",
    'quo"te.txt',
    "back\\slash",
    "semi;colon=x",
    "percent%0d%0aX-Evil: 1",
    "ä€😀.txt",
    "line\r\nX-Evil: 1",
    "tab\tnul\0bell\x07",
    "'single'",
    "\u202egnp.exe",
    " ",
    "x" * 255,
]


@pytest.mark.parametrize("name", NAMES)
async def test_a_name_stays_inside_its_header(name: str) -> None:
    value = content_disposition(name)
    assert value.isascii()
    assert value.isprintable()
    found = re.fullmatch(r"attachment; filename=\"([^\"\\%]*)\"; filename\*=UTF-8''([A-Za-z0-9%._~-]*)", value)
    assert found is not None
    assert unquote(found[2]) == name
    message = Message()
    message["Content-Disposition"] = value
    assert message.get_content_disposition() == "attachment"
    assert len(message.get_params(header="Content-Disposition") or []) >= 2


@pytest.mark.parametrize(
    "sent",
    ['"a\\"; filename=b.exe"', "x; filename*=UTF-8''a%0d%0aX-Evil:%201", '"a%0d%0aX-Evil: 1"'],
)
async def test_no_name_adds_a_header_to_the_answer(api: Caller, sent: str) -> None:
    attested, content = await Attested.made(api), uuid4().bytes
    made = (await attested.send(content, f'name="file"; filename={sent}')).json
    lines = [f"GET {V1}/evidence/{made['sha256Hash']} HTTP/1.1".encode(), f"X-Api-Key: {api.key}".encode()]
    status, answer = await raw_request(api.client, lines)
    assert status == 200
    head = answer.partition(b"\r\n\r\n")[0]
    assert not re.search(rb"^x-evil", head, re.MULTILINE | re.IGNORECASE)
    assert head.lower().count(b"content-disposition") == 1


async def test_a_reference_is_described_and_never_a_redirect(api: Caller) -> None:
    attested, digest = await Attested.made(api), sha(uuid4().bytes)
    made = (await api.post(attested.path, reference(sha256Hash=digest))).json
    answer = await fetch(api, f"/evidence/{digest}", Range="bytes=0-1")
    assert (answer.status, json.loads(answer.body)) == (200, made)
    assert answer.headers["Content-Type"].startswith("application/json")
    assert "Location" not in answer.headers
    assert await accesses(api, made) == []
    verified = (await api.get(f"/evidence/{made['id']}/verify")).json
    assert (verified["verified"], verified["actualSha256"], verified["sizeBytes"]) == (False, None, None)


async def test_a_whole_file_verifies(api: Caller, app_services: Services) -> None:
    made = await kept(api, large(1))
    verified = (await api.get(f"/evidence/{made['id']}/verify")).json
    assert_times(verified, "checkedAt")
    verified.pop("checkedAt")
    assert verified == {
        "verified": True,
        "expectedSha256": made["sha256Hash"],
        "actualSha256": made["sha256Hash"],
        "sizeBytes": CHUNK + 3,
        "message": "The stored content matches the record.",
    }
    await Sealer()(app_services)
    sealed = (await api.post(f"/ledger/verify/{made['id']}", status=200)).json
    assert (sealed["verified"], sealed["result"]) == (True, "verified")


def spoil(services: Services, made: Any, at: int) -> None:
    """One bit of the stored content."""
    path = services.blobs.path(f"sha256:{made['sha256Hash']}")
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


async def test_spoilt_content_of_one_chunk_is_refused_whole(api: Caller, app_services: Services) -> None:
    content = uuid4().bytes
    made = await kept(api, content)
    spoil(app_services, made, -1)
    with capture_logs() as logs:
        answer = await fetch(api, f"/evidence/{made['sha256Hash']}")
        verified = (await api.get(f"/evidence/{made['id']}/verify")).json
    assert answer.status == 409
    assert "Integrity error" in json.loads(answer.body)["message"]
    assert [one["log_level"] for one in logs if one["event"] == "evidence.tampered"] == ["error", "error"]
    assert (verified["verified"], verified["actualSha256"] != verified["expectedSha256"]) == (False, True)
    assert await accesses(api, made) == []


@pytest.mark.parametrize("at", [0, CHUNK, -1])
async def test_spoilt_content_of_many_chunks_never_arrives_whole(api: Caller, app_services: Services, at: int) -> None:
    """The head is out before the end has been read: what is left is to let the client see that it broke off."""
    made = await kept(api, large(3))
    spoil(app_services, made, at)
    with capture_logs() as logs:
        reader, writer = await asyncio.open_connection(api.client.host, api.client.port)
        writer.write(
            f"GET {V1}/evidence/{made['sha256Hash']} HTTP/1.1\r\nHost: t\r\nX-Api-Key: {api.key}\r\n\r\n".encode()
        )
        head = await reader.readuntil(b"\r\n\r\n")
        body = await asyncio.wait_for(reader.read(), 10)
        writer.close()
    assert b"Content-Length: %d" % (3 * CHUNK + 3) in head
    assert len(body) == 3 * CHUNK, "everything but the last chunk, and then the end"
    assert "evidence.tampered" in [one["event"] for one in logs]
    assert len(await accesses(api, made)) == 1
    assert (await fetch(api, f"/evidence/{made['sha256Hash']}", Range="bytes=5-9")).status == 206


@pytest.mark.parametrize("damage", ["cut", "grown", "gone"])
async def test_content_of_another_size_or_none_is_refused(api: Caller, app_services: Services, damage: str) -> None:
    content = uuid4().bytes
    made = await kept(api, content)
    path = app_services.blobs.path(f"sha256:{made['sha256Hash']}")
    path.unlink() if damage == "gone" else path.write_bytes(content[:-1] if damage == "cut" else content + b"x")
    for headers in ({}, {"Range": "bytes=0-1"}):
        answer = await fetch(api, f"/evidence/{made['sha256Hash']}", **headers)
        assert (answer.status, json.loads(answer.body)["error"]) == (409, "Conflict")
    verified = (await api.get(f"/evidence/{made['id']}/verify")).json
    assert (verified["verified"], verified["sizeBytes"]) == (False, {"cut": 15, "grown": 17, "gone": None}[damage])


async def test_an_upload_of_the_same_content_mends_it(api: Caller, app_services: Services) -> None:
    content = uuid4().bytes
    made = await kept(api, content)
    spoil(app_services, made, 0)
    await kept(api, content)
    assert (await fetch(api, f"/evidence/{made['sha256Hash']}")).body == content
    assert (await api.get(f"/evidence/{made['id']}/verify")).json["verified"] is True


async def test_who_may_read_and_who_may_write(api: Caller, app_services: Services) -> None:
    made = await kept(api, TEN)
    for role, reads, writes in (
        ("viewer", 403, 403),
        ("auditor", 200, 403),
        ("reporter", 403, 201),
        ("member", 200, 201),
    ):
        caller = Caller(api.client, (await make_holder(app_services, api.tenant, role)).key, api.tenant)
        assert (await fetch(caller, f"/evidence/{made['sha256Hash']}")).status == reads
        assert (await caller.send("GET", f"/evidence/{made['id']}/verify")).status == reads
        assert (await caller.send("POST", f"/evidence/{made['attestationId']}", data=b"x")).status == writes


@pytest.mark.parametrize(
    "path", ["/evidence/xyz", "/evidence/" + "a" * 63, "/evidence/sha1:" + "a" * 64, "/evidence/x/verify"]
)
async def test_what_is_no_digest_and_no_id(api: Caller, path: str) -> None:
    assert (await api.send("GET", path)).status == (400 if path.endswith("verify") else 404)


async def test_a_client_that_reads_slowly_holds_no_connection(api: Caller, app_services: Services) -> None:
    made = await kept(api, large(16))
    reader, writer = await asyncio.open_connection(api.client.host, api.client.port, limit=CHUNK)
    writer.write(f"GET {V1}/evidence/{made['sha256Hash']} HTTP/1.1\r\nHost: t\r\nX-Api-Key: {api.key}\r\n\r\n".encode())
    await reader.readuntil(b"\r\n\r\n")
    async with app_services.database.read() as other:
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in%'"
        assert await other.value(waiting) == 0
    pool = app_services.database.pool

    async def all_are_idle() -> bool:
        return pool.get_idle_size() == pool.get_size()

    await eventually(all_are_idle, what="every connection idle")  # background tasks use one for a moment
    assert len(await accesses(api, made)) == 1, "it is recorded at the beginning"
    assert len(await reader.readexactly(16 * CHUNK + 3)) == 16 * CHUNK + 3
    writer.close()
