"""Connections that keep the server waiting, in a small application with short time-outs."""

import asyncio
import json
import resource
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from api.http.transport import connections
from api.http.transport.bodies import PATIENCE
from api.http.transport.connections import ConnectionLimits, LimitedServer, address_of
from storage.settings import Settings
from tests.api.http.sample import sample_app
from tests.api.limited import LimitedTestServer

LIMITS = ConnectionLimits(total=6, per_address=4, patience=0.2, idle=0.4)
GET = b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n"


class Peer:
    """One raw connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def head(self) -> bytes:
        return await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 5)

    async def answer(self) -> tuple[int, Any, bytes]:
        """The status, the body and the head of one answer."""
        head = await self.head()
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        body = await asyncio.wait_for(self.reader.readexactly(int(length.split(b":")[1])), 5)
        return int(head.split(b" ", 2)[1]), json.loads(body), head

    async def ended(self) -> bytes:
        """What came before the end of the connection, which must come by itself."""
        try:
            return await asyncio.wait_for(self.reader.read(), 5)
        except ConnectionResetError:
            return b""


Connect = Callable[[], Any]


def answer_with(size: int) -> Any:
    async def handler(_request: web.Request) -> web.Response:
        return web.Response(body=bytes(size))

    return handler


async def slowly(request: web.Request) -> web.StreamResponse:
    """Silent for longer than any time-out here."""
    response = web.StreamResponse(headers={"Content-Length": "13"})
    await response.prepare(request)
    await response.write(b"first, ")
    await asyncio.sleep(3 * LIMITS.patience)
    await response.write(b"second")
    return response


@asynccontextmanager
async def serving(folder: Path, limits: ConnectionLimits = LIMITS) -> AsyncIterator[tuple[LimitedServer, Connect]]:
    app = sample_app(folder)
    app[PATIENCE] = limits.patience
    app.router.add_get("/slow", slowly)
    app.router.add_get("/large", answer_with(16 * 2**20))
    opened = []
    async with LimitedTestServer(app, limits) as server:

        async def connect() -> Peer:
            peer = Peer(*await asyncio.open_connection(server.host, server.port))
            opened.append(peer)
            return peer

        try:
            yield server.handler, connect  # type: ignore[misc]
        finally:
            for peer in opened:
                peer.writer.transport.abort()
            await asyncio.sleep(0)


@pytest.mark.parametrize(
    "sent",
    [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: 1\r\n"],
    ids=["nothing", "half a line", "half a head"],
)
async def test_a_connection_without_a_request_ends(tmp_path: Path, sent: bytes) -> None:
    async with serving(tmp_path) as (server, connect):
        peer = await connect()
        peer.send(sent)
        with capture_logs() as logs:
            assert await peer.ended() == b""
        [line] = [line for line in logs if line["event"] == "connection timed out"]
        assert line["waiting_for"] == "request"
        assert server.connections == []


async def test_a_head_that_trickles_ends_the_same(tmp_path: Path) -> None:
    async with serving(tmp_path) as (_, connect):
        peer = await connect()
        peer.send(b"GET / HTTP/1.1\r\n")
        ending = asyncio.create_task(peer.ended())
        for n in range(200):
            if ending.done():
                break
            peer.send(b"X-%d: y\r\n" % n)
            await asyncio.sleep(0.02)
        assert await ending == b""


async def test_a_head_is_limited_as_a_whole(tmp_path: Path) -> None:
    """Each header may have 16 KiB, and there may be many."""
    async with serving(tmp_path) as (_, connect):
        peer = await connect()
        peer.send(b"GET / HTTP/1.1\r\nHost: x\r\n")
        await asyncio.sleep(0.05)
        for n in range(12):
            peer.send(b"X-%d: " % n + b"y" * 8000 + b"\r\n")
            await asyncio.sleep(0.005)
        status, body, _ = await peer.answer()
        assert (status, body["status"]) == (431, 431)
        assert str(connections.MAX_HEAD) in body["message"]
        await peer.ended()


async def test_an_idle_connection_ends_and_a_busy_one_stays(tmp_path: Path) -> None:
    async with serving(tmp_path) as (_, connect):
        peer = await connect()
        for _ in range(4):
            peer.send(GET)
            assert (await peer.answer())[0] == 404
            await asyncio.sleep(0.15)
        peer.send(b"GET /half")
        assert await peer.ended() == b""


async def test_a_body_that_does_not_arrive_is_408(tmp_path: Path) -> None:
    async with serving(tmp_path) as (_, connect):
        peer = await connect()
        peer.send(b"POST /api/v1/receive HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{")
        status, body, head = await peer.answer()
        assert (status, body["status"]) == (408, 408)
        assert b"connection: close" in head.lower()
        assert await peer.ended() == b""


async def test_a_slow_body_that_keeps_its_rate_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(tmp_path) as (_, connect):
        peer = await connect()
        peer.send(b"POST /api/v1/receive HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n")
        for _ in range(10):
            await asyncio.sleep(0.06)
            peer.send(b"x" * 100)  # 0.1 s more each
        assert (await peer.head()).startswith(b"HTTP/1.1 202 ")


async def test_an_answer_that_nobody_reads_ends(tmp_path: Path) -> None:
    async with serving(tmp_path) as (server, connect):
        peer = await connect()
        peer.writer.transport.pause_reading()
        with capture_logs() as logs:
            peer.send(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
            while not [line for line in logs if line["event"] == "connection timed out"]:
                await asyncio.sleep(0.05)
        assert [one["waiting_for"] for one in logs if "waiting_for" in one] == ["answer"]
        await asyncio.sleep(0.05)
        assert server.connections == []


async def test_a_stream_may_last_and_be_silent(tmp_path: Path) -> None:
    async with serving(tmp_path) as (_, connect):
        peer = await connect()
        peer.send(b"GET /slow HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert (await peer.ended()).endswith(b"first, second")


async def test_an_answer_that_is_read_slowly_comes_whole(tmp_path: Path) -> None:
    limits = ConnectionLimits(total=6, per_address=0, patience=0.2, idle=5)
    async with serving(tmp_path, limits) as (_, connect):
        peer = await connect()
        peer.send(b"GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        await peer.head()
        size = 0
        while chunk := await peer.reader.read(2**20):
            size += len(chunk)
            await asyncio.sleep(0.01)
        assert size == 16 * 2**20


async def test_an_address_has_a_limit_of_its_own(tmp_path: Path) -> None:
    async with serving(tmp_path) as (_, connect):
        peers = [await connect() for _ in range(LIMITS.per_address)]
        with capture_logs() as logs:
            refused = await connect()
            status, body, head = await refused.answer()
        assert (status, body["status"]) == (429, 429)
        assert b"Retry-After: 5" in head
        assert f"X-Request-Id: {body['requestId']}".encode() in head
        assert await refused.ended() == b""
        assert [line["reason"] for line in logs if line["event"] == "connection refused"] == ["address"]
        peers[0].send(GET)
        assert (await peers[0].answer())[0] == 404
        peers[0].writer.close()
        while (again := await connect()) and not await served(again):
            await asyncio.sleep(0.01)


async def served(peer: Peer) -> bool:
    peer.send(GET)
    return (await peer.answer())[0] == 404


async def test_in_total_there_is_a_limit_too(tmp_path: Path) -> None:
    limits = ConnectionLimits(total=3, per_address=0, patience=5, idle=5)
    async with serving(tmp_path, limits) as (_, connect):
        peers = [await connect() for _ in range(3)]
        for peer in peers:
            assert await served(peer)
        refused = await connect()
        refused.send(GET)
        assert (await refused.answer())[0] == 503


async def test_few_refused_connections_linger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MAX_LINGERING", 2)
    monkeypatch.setattr(connections, "LINGER", 0.2)
    limits = ConnectionLimits(total=1, per_address=0, patience=5, idle=5)
    async with serving(tmp_path, limits) as (server, connect):
        assert await served(await connect())
        refused = [await connect() for _ in range(6)]
        assert [(await peer.answer())[0] for peer in refused] == [503] * 6
        assert server.lingering <= 2
        for peer in refused:
            await peer.ended()
        while server.lingering:
            await asyncio.sleep(0.01)


async def test_of_an_unwanted_body_little_is_read(tmp_path: Path) -> None:
    """The answer is there at once, and the server takes no more than it must."""
    async with serving(tmp_path) as (_, connect):
        peer = await connect()
        peer.send(b"POST /api/v1/flows HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999\r\n\r\n")
        sent = 0
        try:
            while sent < 200 * 2**20:
                peer.send(bytes(2**18))
                sent += 2**18
                await asyncio.wait_for(peer.writer.drain(), 5)
        except ConnectionError:
            pass
        assert sent < 20 * 2**20


async def test_a_small_unwanted_body_costs_no_connection(tmp_path: Path) -> None:
    async with serving(tmp_path) as (_, connect):
        peer = await connect()
        for _ in range(3):
            peer.send(b"POST /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello")
            assert (await peer.answer())[0] == 404


async def test_bad_requests_do_not_fill_the_log(tmp_path: Path) -> None:
    async with serving(tmp_path, ConnectionLimits(total=500, per_address=0, patience=5, idle=5)) as (_, connect):
        with capture_logs() as logs:
            for _ in range(150):
                peer = await connect()
                peer.send(b"rubbish\r\n\r\n")
                assert (await peer.answer())[0] == 400
                peer.writer.close()
        assert len(logs) < 100


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        (("192.0.2.7", 5), "192.0.2.7"),
        (("::ffff:192.0.2.7", 5, 0, 0), "192.0.2.7"),
        (("2001:db8:1:2:3::4", 5, 0, 0), "2001:db8:1:2::"),
        (("fe80::1%eth0", 5, 0, 2), "fe80::"),
        ("", ""),
        (None, ""),
    ],
)
def test_addresses(peer: Any, address: str) -> None:
    class Wire(asyncio.BaseTransport):
        def get_extra_info(self, name: str, default: Any = None) -> Any:
            return peer if name == "peername" else default

    assert address_of(Wire()) == address


@pytest.mark.parametrize(
    ("files", "given", "total", "per_address"),
    [
        (20_000, {}, 4096, 2048),
        (1024, {}, 880, 440),
        (200, {}, 56, 28),
        (64, {}, 16, 8),
        (20_000, {"max_connections": 100, "connections_per_address": 0}, 100, 0),
        (20_000, {"connections_per_address": 7}, 4096, 7),
    ],
)
def test_the_limits_leave_files_for_the_rest(
    monkeypatch: pytest.MonkeyPatch, files: int, given: dict[str, Any], total: int, per_address: int
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (files, files))
    limits = ConnectionLimits.of(Settings(**given))
    assert (limits.total, limits.per_address) == (total, per_address)
