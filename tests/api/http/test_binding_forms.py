"""Forms: any order, unknown parts, files hashed on their way to staging, and nothing left behind."""

import asyncio
import hashlib
import io
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient
from pytest_aiohttp import AiohttpClient

from api.http.calls import STAGING
from tests.api.http.sample import FLOW_ID, SEEN, drip, sample_app

PATH = f"/api/v1/flows/{FLOW_ID}/evidence"
MULTIPART = "multipart/form-data; boundary=frontier"
HEADERS = {"X-API-Key": "admin", "Content-Type": MULTIPART}
DATA = ("data_json", b'{"name": "n"}')
Send = Callable[..., Awaitable[Any]]


@pytest.fixture
async def client(aiohttp_client: AiohttpClient, tmp_path: Path) -> TestClient[Any, Any]:
    return await aiohttp_client(sample_app(tmp_path))


@pytest.fixture
def send(client: TestClient[Any, Any]) -> Send:
    async def send(*parts: tuple[str, bytes] | tuple[str, bytes, str]) -> Any:
        return await client.post(PATH, data=io.BytesIO(multipart(*parts)), headers=HEADERS)

    return send


def multipart(*parts: tuple[str, bytes] | tuple[str, bytes, str]) -> bytes:
    """Name and content, and for a part with a file name its disposition parameter as it stands on the wire."""
    body = b""
    for name, content, *file_name in parts:
        disposition = f'Content-Disposition: form-data; name="{name}"' + "".join(
            f"; filename={one}" for one in file_name
        )
        body += b"--frontier\r\n" + disposition.encode() + b"\r\n\r\n" + content + b"\r\n"
    return body + b"--frontier--\r\n"


async def fields(response: Any) -> list[str]:
    assert response.status == 400, await response.text()
    return [one["field"] for one in (await response.json())["details"]]


async def test_a_file_is_staged_and_hashed(send: Send, client: TestClient[Any, Any], tmp_path: Path) -> None:
    content = bytes(range(256)) * 10_000
    response = await send(DATA, ("file", content, '"a.bin"'))
    assert response.status == 201
    assert await response.json() == {
        "name": "n",
        "comment": None,
        "fileName": "a.bin",
        "sha256": hashlib.sha256(content).hexdigest(),
        "size": len(content),
        "attachments": 0,
    }
    assert client.app is not None
    ((staged, seen),) = client.app[SEEN].staged
    assert seen == content
    assert staged.parent == client.app[STAGING]
    assert list(tmp_path.iterdir()) == []


async def test_parts_come_in_any_order_and_unknown_ones_are_skipped(send: Send) -> None:
    response = await send(
        ("zzz", b"?" * 100_000), ("file", b"x", '"x"'), ("more", b"y", '"y"'), ("comment", b"c"), DATA
    )
    assert (response.status, (await response.json())["comment"]) == (201, "c")


async def test_the_declared_field_decides_what_is_a_file(send: Send) -> None:
    response = await send(("data_json", DATA[1], '"data.json"'), ("file", b"no file name"))
    answer = await response.json()
    assert (response.status, answer["fileName"], answer["size"]) == (201, "", 12)


@pytest.mark.parametrize("size", [1, 7, 13, 4096])
async def test_parts_may_be_cut_anywhere_on_the_wire(client: TestClient[Any, Any], size: int) -> None:
    content = b"line\r\n--front\r\n--frontie\r\n\r\n" * 20
    body = multipart(("zzz", content), ("file", content, '"x"'), ("comment", b"c"), DATA)
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    response = await client.post(PATH, data=drip(*pieces), headers=HEADERS)
    assert (response.status, (await response.json())["sha256"]) == (201, hashlib.sha256(content).hexdigest())


async def test_a_list_of_files_may_repeat_and_a_single_one_may_not(send: Send, tmp_path: Path) -> None:
    response = await send(DATA, ("attachments", b"1", '"1"'), ("attachments", b"2", '"2"'), ("file", b"x", '"x"'))
    assert (await response.json())["attachments"] == 2
    assert await fields(await send(DATA, ("file", b"1", '"1"'), ("file", b"2", '"2"'))) == ["file"]
    assert await fields(await send(DATA, DATA, ("file", b"2", '"2"'))) == ["data_json"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ('"../../etc/passwd"', "passwd"),
        ('"C:\\\\dir\\\\report.xml"', "report.xml"),
        ('".."', ""),
        ('"/"', ""),
        ('"ä b.txt"', "ä b.txt"),
        ("""""; filename*=UTF-8''%e2%82%ac%0d%0ax.txt""", "€x.txt"),
        (f'"{"n" * 400}"', "n" * 255),
    ],
)  # fmt: skip
async def test_file_names_are_base_names(send: Send, sent: str, kept: str) -> None:
    response = await send(DATA, ("file", b"x", sent))
    answer = await response.json()
    assert (response.status, answer.get("fileName", answer)) == (201, kept)


async def test_a_refused_form_leaves_no_file(send: Send, tmp_path: Path) -> None:
    assert await fields(await send(("file", b"x" * 2_000_000, '"x"'))) == ["data_json"]
    assert await fields(await send(("file", b"x", '"x"'), ("data_json", b"{}"))) == ["data_json.name"]
    assert await fields(await send(("file", b"x", '"x"'), ("data_json", b"{"))) == ["data_json"]
    assert await fields(await send(DATA)) == ["file"]
    assert list(tmp_path.iterdir()) == []


async def test_a_failing_handler_leaves_no_file(send: Send, tmp_path: Path) -> None:
    assert (await send(DATA, ("comment", b"refuse"), ("file", b"x", '"x"'))).status == 409
    assert list(tmp_path.iterdir()) == []


async def test_a_promoted_file_stays(send: Send, tmp_path: Path) -> None:
    assert (await send(DATA, ("comment", b"keep"), ("file", b"x", '"x"'))).status == 201
    assert [one.name for one in tmp_path.iterdir()] == ["kept"]


async def test_poison_in_a_json_field_is_named_below_the_field(send: Send) -> None:
    for poisoned in (b'{"name": "n", "tags": {"a": [NaN]}}', rb'{"name": "n", "tags": {"a": ["\u0000"]}}'):
        assert await fields(await send(("data_json", poisoned), ("file", b"x", '"x"'))) == ["data_json.tags.a.0"]


async def test_a_text_field_has_a_cap_of_its_own(send: Send) -> None:
    response = await send(("comment", b"c" * ((1 << 20) + 1)), DATA, ("file", b"x", '"x"'))
    assert response.status == 413


async def test_an_oversize_file_is_413_and_gone(client: TestClient[Any, Any], send: Send, tmp_path: Path) -> None:
    declared = await send(DATA, ("file", b"x" * (3 << 20), '"x"'))
    assert declared.status == 413
    head = b'--frontier\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n'
    undeclared = await client.post(PATH, data=drip(head, *[b"x" * 100_000] * 40), headers=HEADERS)
    assert (undeclared.status, undeclared.headers["Connection"]) == (413, "close")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "filler",
    [
        pytest.param([b"preamble\r\n" * 10_000] * 40, id="preamble"),
        pytest.param([b"--frontier\r\nX: y\r\n\r\n\r\n" * 10_000] * 30, id="nameless parts"),
        pytest.param([multipart(("zzz", b""))[:-16], *[b"z" * 100_000] * 40], id="unknown"),
    ],
)  # fmt: skip
async def test_everything_that_arrives_counts(client: TestClient[Any, Any], filler: list[bytes]) -> None:
    assert (await client.post(PATH, data=drip(*filler), headers=HEADERS)).status == 413


async def test_a_client_that_goes_away_leaves_no_file(client: TestClient[Any, Any], tmp_path: Path) -> None:
    _, writer = await asyncio.open_connection(client.host, client.port)
    start = multipart(("file", b"x" * 100_000, '"x"'))[:-20]
    head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nX-API-Key: admin\r\nContent-Type: {MULTIPART}\r\n"
    writer.write(head.encode() + b"Content-Length: 200000\r\n\r\n" + start)
    await writer.drain()
    for _ in range(100):
        if list(tmp_path.iterdir()):
            break
        await asyncio.sleep(0.01)
    assert len(list(tmp_path.iterdir())) == 1
    writer.transport.abort()
    for _ in range(100):
        if not list(tmp_path.iterdir()):
            break
        await asyncio.sleep(0.01)
    assert list(tmp_path.iterdir()) == []


async def test_media_types_of_forms(client: TestClient[Any, Any]) -> None:
    refused = await client.post(
        PATH, data=b"a=b", headers=HEADERS | {"Content-Type": "application/x-www-form-urlencoded"}
    )
    assert refused.status == 415
    latin = multipart(DATA, ("file", b"x", '"x"'))
    accepted = await client.post(PATH, data=latin, headers=HEADERS | {"Content-Type": f"{MULTIPART}; charset=latin-1"})
    assert accepted.status == 201


@pytest.mark.parametrize(
    ("body", "status", "expected"),
    [
        (b"user=u&scope=a&scope=b&other=1", 200, ["u", "a", "b"]),
        (b"user=%C3%A4", 200, ["ä"]),
        (b"user=u&user=v", 400, "user"),
        (b"user=%00", 400, "user"),
        (b"user=%ff", 400, ""),
        (b"user=\xff", 400, ""),
        (b"&".join([b"a=b"] * 1001), 400, ""),
        (b"scope=a", 400, "user"),
    ],
)
async def test_url_encoded_forms(client: TestClient[Any, Any], body: bytes, status: int, expected: Any) -> None:
    headers = {"X-API-Key": "admin", "Content-Type": "application/x-www-form-urlencoded"}
    response = await client.post("/api/v1/imports", data=body, headers=headers)
    answer = await response.json()
    assert response.status == status
    assert (answer if status == 200 else "".join(one["field"] for one in answer["details"])) == expected
