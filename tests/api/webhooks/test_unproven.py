"""What the receiver does for senders who have proven nothing: it looks at headers, and holds little."""

import asyncio
import gzip
import json
import threading
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any
from urllib.parse import urlencode
from uuid import UUID, uuid4

import pytest
import pytest_asyncio
from aiohttp.test_utils import TestClient

from api.app import build_app
from api.webhooks import proof
from api.webhooks.unproven import UNPROVEN, Unproven
from storage.services import Services, open_services
from tests.api.caller import SECRET, Answer, Caller, found_organisation, sign
from tests.api.limited import LimitedTestServer
from tests.api.webhooks.sending import REFUSED, Sender, github_headers, gitlab_headers, let_in, recorded
from tests.conftest import Installation
from workers.drain import drain

pytestmark = pytest.mark.asyncio(loop_scope="session")

MIB = 2**20
LARGE = 2 * MIB
BUDGET = 3 * LARGE + 1024


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def large_services(
    installation: Installation, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Services]:
    """Of an API that takes 2 MiB, and holds a little more than three such bodies for all unproven senders."""
    settings = installation.settings(
        tmp_path_factory.mktemp("large"), webhook_max_body=LARGE, unproven_bytes=BUDGET, client_timeout=2
    )
    async with open_services(settings, "test large") as services:
        yield services


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def large(large_services: Services) -> AsyncIterator[TestClient[Any, Any]]:
    async with TestClient(LimitedTestServer(build_app(large_services))) as client:
        yield client


@pytest_asyncio.fixture(loop_scope="session")
async def owner(large: TestClient[Any, Any], large_services: Services) -> Caller:
    return await found_organisation(large, large_services)


def unproven(client: TestClient[Any, Any]) -> Unproven:
    assert client.app is not None
    return client.app[UNPROVEN]


async def announce(
    client: TestClient[Any, Any], path: str, headers: dict[str, str], length: int = MIB, part: bytes = b""
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A request whose body does not come, or only a part of it."""
    lines = [f"POST /api/v1{path} HTTP/1.1", "Host: x", f"Content-Length: {length}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    reader, writer = await asyncio.open_connection(client.host, client.port)
    writer.write("\r\n".join([*lines, "", ""]).encode() + part)
    return reader, writer


async def answer_to(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Answer:
    head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)).decode()
    status, *lines = head.strip().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    body = await reader.readexactly(int(headers["content-length"]))
    writer.transport.abort()
    return Answer(int(status.split(" ", 2)[1]), headers, body.decode())


FALSE = {"X-Hub-Signature-256": sign(b"another body")}
NEVER = {
    "no header": {},
    "a malformed signature": {"X-Hub-Signature-256": "sha256=zz"},
    "an old time": {"webhook-id": "a", "webhook-timestamp": "1", "webhook-signature": "v1," + "A" * 43 + "="},
}


@pytest.mark.parametrize("name", NEVER)
async def test_headers_that_prove_nothing_are_refused_before_the_body(owner: Caller, name: str) -> None:
    sender = await let_in(owner, "GENERIC")
    refused = await answer_to(*await announce(owner.client, sender.path, NEVER[name]))
    assert (refused.status, refused.json["message"]) == (401, REFUSED)
    assert refused.headers["connection"] == "close"


@pytest.mark.parametrize("path", [f"/webhooks/generic/{UUID(int=404)}", "/webhooks/generic/no-id", "/webhooks/jenkins"])
async def test_without_a_config_the_body_is_not_read(owner: Caller, path: str) -> None:
    refused = await answer_to(*await announce(owner.client, path, FALSE))
    assert (refused.status, refused.json["message"]) == (401, REFUSED)


async def test_a_wrong_token_is_refused_before_the_body_and_a_right_one_is_not(owner: Caller) -> None:
    for source, header in (("GITLAB", "X-Gitlab-Token"), ("AZURE_DEVOPS", "X-Trailgate-Token")):
        sender = await let_in(owner, source)
        headers = gitlab_headers("Push Hook") if source == "GITLAB" else {}
        refused = await answer_to(*await announce(owner.client, sender.path, headers | {header: "wrong"}))
        assert refused.status == 401
        body = json.dumps({"id": str(uuid4()), "eventType": "x"}).encode()
        await sender.deliver(body, headers | {header: SECRET})
        slow = await announce(owner.client, sender.path, headers | {header: SECRET}, len(body), body[:5])
        await asyncio.sleep(0.05)
        slow[1].write(body[5:])
        assert (await answer_to(*slow)).status == 202


async def test_a_secret_that_was_just_set_is_known_before_the_body(owner: Caller) -> None:
    sender = await let_in(owner, "GITLAB")
    await sender.deliver(b"{}", gitlab_headers() | {"X-Gitlab-Token": SECRET})  # the config is cached now
    await owner.post(f"/webhook-configs/{sender.config_id}/rotate", {"secret": "a new token"}, status=200)
    slow = await announce(owner.client, sender.path, gitlab_headers() | {"X-Gitlab-Token": "a new token"}, 2, b"{")
    await asyncio.sleep(0.05)
    slow[1].write(b"}")
    assert (await answer_to(*slow)).status == 202


async def test_unproven_bytes_have_one_budget_and_are_given_back(owner: Caller) -> None:
    """Senders who hold it back for long lose it: a body must be there within the patience of the server."""
    sender = await let_in(owner)
    part = b" " * (LARGE - 1)
    holding = [await announce(owner.client, sender.path, FALSE, LARGE, part) for _ in range(3)]
    while unproven(owner.client).held < 3 * len(part):
        await asyncio.sleep(0.01)
    body = json.dumps({"fill": "x" * 2000}).encode()
    postponed = await sender.deliver(body, github_headers(body, "ping"), 503)
    assert int(postponed.headers["Retry-After"]) >= 1
    assert {(await answer_to(*one)).status for one in holding} == {408}
    assert unproven(owner.client).held == 0
    await sender.deliver(body, github_headers(body, "ping"))
    assert unproven(owner.client).held == 0


async def test_a_sender_who_leaves_gives_his_bytes_back(owner: Caller) -> None:
    sender = await let_in(owner)
    _, writer = await announce(owner.client, sender.path, FALSE, LARGE, b" " * MIB)
    while unproven(owner.client).held < MIB:
        await asyncio.sleep(0.01)
    writer.transport.abort()
    while unproven(owner.client).held:
        await asyncio.sleep(0.01)


async def test_a_large_body_is_hashed_off_the_loop_and_once_for_each_secret(
    owner: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender = await let_in(owner)
    body = json.dumps({"fill": "x" * (MIB // 2)}).encode()
    with watched(monkeypatch) as hashed:
        await sender.deliver(body, github_headers(body, "ping"))
        await sender.deliver(body, github_headers(body, "ping") | FALSE, 401)
    assert len(hashed) == 2, "a body that does not match is not hashed again for the same secrets"
    assert threading.main_thread().name not in hashed
    small = b"{}"
    with watched(monkeypatch) as hashed:
        await sender.deliver(small, github_headers(small, "ping"))
    assert hashed == [threading.current_thread().name]


@contextmanager
def watched(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The names of the threads in which bodies are compared with secrets."""
    names: list[str] = []
    match = proof.Proof._match

    def note(self: proof.Proof, configs: Any, body: bytes) -> Any:
        if body:
            names.append(threading.current_thread().name)
        return match(self, configs, body)

    with monkeypatch.context() as patched:
        patched.setattr(proof.Proof, "_match", note)
        yield names


def raw_deflate(body: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(body) + packer.flush()


@pytest.mark.parametrize(
    ("coding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress), ("deflate", raw_deflate)]
)
async def test_a_compressed_delivery_is_signed_as_it_was_sent(
    owner: Caller, large_services: Services, coding: str, pack: Callable[[bytes], bytes]
) -> None:
    sender, plain = await let_in(owner), recorded("workflow_run__success")
    packed = pack(plain)
    accepted = await sender.deliver(packed, github_headers(packed) | {"Content-Encoding": coding})
    await sender.deliver(packed, github_headers(plain) | {"Content-Encoding": coding}, 401)
    await sender.deliver(plain, github_headers(plain) | {"Content-Encoding": coding}, 400)
    await drain(large_services)
    settled = await sender.receipt(accepted)
    assert (settled["status"], settled["eventType"]) == ("SUCCESS", "build.succeeded")


async def test_a_compressed_body_whose_id_is_inside_is_415(owner: Caller) -> None:
    sender = await let_in(owner, "AZURE_DEVOPS")
    packed = gzip.compress(json.dumps({"id": str(uuid4())}).encode())
    headers = {"X-Trailgate-Token": SECRET, "Content-Encoding": "gzip"}
    refused = await sender.deliver(packed, headers, 415)
    assert "Content-Encoding" in refused.json["message"]


@pytest.mark.parametrize("declared", ["br", "zstd", "gzip, gzip"])
async def test_an_unknown_encoding_is_415_for_everybody(owner: Caller, declared: str) -> None:
    sender = await let_in(owner)
    for path in (sender.path, f"/webhooks/github/{uuid4()}"):
        refused = await Caller(owner.client, None).post(
            path, status=415, data=b"{}", headers=github_headers(b"{}") | {"Content-Encoding": declared}
        )
        assert declared in refused.json["message"]


async def deliver_form(sender: Sender, payload: bytes, status: int) -> Answer:
    form = urlencode({"payload": payload.decode()}).encode()
    headers = github_headers(form, "ping") | {"Content-Type": "application/x-www-form-urlencoded"}
    return await Caller(sender.owner.client, None).post(sender.path, status=status, data=BytesIO(form), headers=headers)


async def test_the_limit_of_a_form_is_that_of_its_payload(owner: Caller) -> None:
    """A payload whose bytes are escaped is three times as long."""
    sender = await let_in(owner)
    quotes = b'"' + b'\\"' * ((LARGE - 2) // 2) + b'"'
    assert len(quotes) == LARGE
    await deliver_form(sender, quotes, 202)
    refused = await deliver_form(sender, b'" ' + quotes[1:], 413)
    assert str(LARGE) in refused.json["message"]
