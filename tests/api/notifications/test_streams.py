"""The live stream of notifications over real HTTP: order, resumption, whoever dies meanwhile, and how it ends."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from aiohttp import ClientTimeout
from aiohttp.test_utils import TestClient, TestServer
from aiohttp.web_runner import BaseRunner
from arq.connections import ArqRedis

from api.app import build_app
from api.http.transport import streams
from api.notifications.streams import NOTIFICATIONS
from domain.notifications.triggers import Severity
from storage.database import Transaction
from storage.identity.commands.api_keys import revoke_api_key
from storage.notifications.announcements import CHANNEL, announce
from storage.notifications.commands.inapp import NewNotification, notify
from storage.services import Services, open_services
from tests.api.caller import NOBODY, Caller, Holder, found_organisation, make_holder
from tests.api.notifications.event_streams import STREAM, listening
from tests.conftest import Installation
from tests.journeys.waiting import eventually

NEVER = 3600.0
SOON = 0.1


@dataclass(frozen=True)
class Process:
    """One API, as if in a process of its own, and the administrator of an organisation that only this test knows."""

    services: Services
    client: TestClient[Any, Any]
    api: Caller

    async def tell(self, *titles: str, aloud: bool = True, message: str = "") -> None:
        new = [NewNotification(title, message, Severity.INFO) for title in titles]
        async with self.services.database.transaction() as tx:
            await notify(tx, self.api.tenant, new)
        if aloud:
            await announce(self.services, self.api.tenant.org_id)

    @property
    def open(self) -> int:
        return self.client.app[NOTIFICATIONS].open

    async def until_open(self, number: int) -> None:
        async def so_many() -> bool:
            return self.open == number

        await eventually(so_many, 5, f"{number} open streams")


class Server(TestServer):
    """As `python -m api` serves: nobody tells a handler that its client has hung up."""

    async def _make_runner(self, **options: Any) -> BaseRunner:
        return await super()._make_runner(**options | {"handler_cancellation": False})


@asynccontextmanager
async def running(services: Services, caller: Caller | None = None) -> AsyncIterator[Process]:
    async with TestClient(Server(build_app(services))) as client:
        api = replace(caller, client=client) if caller else await found_organisation(client, services)
        yield Process(services, client, api)


@pytest.fixture
async def process(services: Services) -> AsyncIterator[Process]:
    async with running(services) as process:
        yield process


@pytest.fixture
def unheard(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody looks by itself: whatever comes was announced."""
    monkeypatch.setattr(streams, "POLL", NEVER)


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everybody looks all the time."""
    monkeypatch.setattr(streams, "POLL", SOON)


@pytest.fixture
def beating(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "HEARTBEAT", SOON)


async def test_a_stream_tells_what_comes_in_the_form_of_the_list(process: Process) -> None:
    await process.tell("before")
    async with listening(process.api) as stream:
        assert stream.response.content_type == "text/event-stream"
        assert stream.response.headers["Cache-Control"] == "no-store"
        assert stream.response.headers["X-Accel-Buffering"] == "no"
        assert "X-Request-Id" in stream.response.headers
        await process.tell("ä\nb")
        event = await stream.event()
        assert (event.id, event.name, event.title) == (2, "notification", "ä\nb")
        assert event.data == (await process.api.get("/notifications?size=1")).json[0]


@pytest.mark.usefixtures("unheard")
async def test_an_announcement_is_heard_at_once(process: Process) -> None:
    async with listening(process.api) as stream, listening(process.api) as second:
        for n in range(20):
            await process.tell(str(n))
            assert (await stream.event(5)).title == (await second.event(5)).title == str(n)


@pytest.mark.parametrize("place", ["header", "query", "both"])
async def test_a_client_goes_on_where_it_was(process: Process, place: str) -> None:
    async with listening(process.api) as stream:
        await process.tell("a", "b")
        assert [one.id for one in await stream.events(2)] == [1, 2]
    await process.tell("c", "d")
    query = {"header": "", "query": "?lastEventId=2", "both": "?lastEventId=0"}[place]
    headers = {} if place == "query" else {"Last-Event-ID": "2"}
    async with listening(process.api, query, **headers) as stream:
        assert [(one.id, one.title) for one in await stream.events(2)] == [(3, "c"), (4, "d")]
        await process.tell("e")
        assert (await stream.event()).id == 5


@pytest.mark.usefixtures("unheard")
async def test_a_long_absence_is_made_up_in_order_and_without_gaps(process: Process) -> None:
    await process.tell(*(str(n) for n in range(250)))
    async with listening(process.api, "?lastEventId=0") as stream:
        found = await stream.events(250)
        assert [one.id for one in found] == list(range(1, 251))
        assert [one.title for one in found] == [str(n) for n in range(250)]
        await process.tell("250")
        assert (await stream.event()).id == 251


async def test_what_was_read_meanwhile_is_told_as_read(process: Process) -> None:
    await process.tell("a", "b")
    await process.api.post("/notifications/read-all", status=204)
    async with listening(process.api, "?lastEventId=1") as stream:
        assert (await stream.event()).data["isRead"] is True
        await process.tell("c")
        assert (await stream.event()).data["isRead"] is False


async def test_a_client_that_was_told_more_than_there_is_begins_at_the_end(process: Process) -> None:
    """As after a database was put back from its backup: to wait for a distant number would be to miss everything."""
    await process.tell("a")
    async with listening(process.api, f"?lastEventId={2**63 - 1}") as stream:
        await process.tell("b")
        assert (await stream.event()).id == 2


@pytest.mark.parametrize("bad", ["x", "-1", "1.5", str(2**63), "", "%00"])
async def test_an_id_that_is_none_of_ours_is_400(process: Process, bad: str) -> None:
    await process.api.get(f"/notifications/stream?lastEventId={bad}", status=400)
    assert process.open == 0


async def test_many_writers_are_told_in_order(process: Process) -> None:
    async with listening(process.api) as stream:
        await asyncio.gather(*(process.tell(f"{n}a", f"{n}b") for n in range(25)))
        found = await stream.events(50)
        assert [one.id for one in found] == list(range(1, 51))
        assert {one.title for one in found} == {f"{n}{side}" for n in range(25) for side in "ab"}


@pytest.mark.usefixtures("unheard")
async def test_every_process_hears_what_one_announces(
    process: Process, installation: Installation, tmp_path: Path
) -> None:
    async with (
        open_services(installation.settings(tmp_path / "other"), "test") as services,
        running(services, process.api) as other,
        listening(process.api) as here,
        listening(other.api) as there,
    ):
        await process.tell("a")
        await other.tell("b")
        assert [one.title for one in await here.events(2)] == ["a", "b"]
        assert [one.title for one in await there.events(2)] == ["a", "b"]


@pytest.mark.usefixtures("often")
async def test_what_nobody_announced_is_found(process: Process) -> None:
    async with listening(process.api) as stream:
        for n in range(3):
            await process.tell(str(n), aloud=False)
            assert (await stream.event()).title == str(n)


@pytest.mark.usefixtures("often")
async def test_without_redis_everything_is_delivered(services: Services) -> None:
    gone = ArqRedis(unix_socket_path="/nonexistent/valkey.sock")
    async with running(replace(services, redis=gone)) as process, listening(process.api) as stream:
        await process.tell("a")
        await process.tell("b")
        assert [one.title for one in await stream.events(2)] == ["a", "b"]


async def listeners(redis: ArqRedis) -> list[str]:
    """The connections that listen on our database; the server has others, of tests that run beside this one."""
    database = str((await redis.client_info())["db"])
    return [one["id"] for one in await redis.client_list(_type="pubsub") if one["db"] == database]


@pytest.mark.usefixtures("often")
async def test_a_redis_that_is_wiped_or_cuts_us_off_loses_nothing_and_is_heard_again(
    own_services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(own_services) as process, listening(process.api) as stream:
        for n in range(3):
            await own_services.redis.flushdb()
            for listener in await listeners(own_services.redis):
                await own_services.redis.client_kill_filter(_id=listener)
            await process.tell(str(n))
            assert (await stream.event()).title == str(n)
        await eventually(lambda: listeners(own_services.redis), 5, "a listener")
        monkeypatch.setattr(streams, "POLL", NEVER)
        await asyncio.sleep(2 * SOON)  # until the last look that was on its way is over
        await process.tell("announced alone")
        assert (await stream.event()).title == "announced alone"


CUT_OFF = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock'
"""


@pytest.mark.usefixtures("often")
async def test_a_database_that_cuts_us_off_costs_a_look_and_not_the_stream(own_services: Services) -> None:
    async with running(own_services) as process, listening(process.api) as stream:
        for n in range(3):
            async with own_services.database.transaction() as tx:
                await tx.execute("LOCK TABLE notifications IN ACCESS EXCLUSIVE MODE")
                await eventually(partial(cut_off, tx, process), 5, "a stream that reads")
            await process.tell(str(n))
            assert (await stream.event()).title == str(n)


async def cut_off(tx: Transaction, process: Process) -> int:
    """Announced each time: a look that met a connection which was cut before is over without having read."""
    await announce(process.services, process.api.tenant.org_id)
    cut: int = await tx.value(CUT_OFF)
    return cut


async def test_another_organisation_hears_nothing_of_it(process: Process) -> None:
    stranger = await found_organisation(process.client, process.services)
    async with listening(stranger, "?lastEventId=0") as foreign, listening(process.api) as own:
        await process.tell("a", "b")
        await announce(process.services, stranger.tenant.org_id)
        assert [one.title for one in await own.events(2)] == ["a", "b"]
        assert await foreign.silent(0.3)
        await replace(process, api=stranger).tell("theirs")
        assert [(one.id, one.title) for one in [await foreign.event()]] == [(1, "theirs")]
        assert await own.silent(0.3)


@pytest.mark.usefixtures("unheard")
async def test_an_announcement_that_names_nobody_harms_nobody(process: Process) -> None:
    async with listening(process.api) as stream:
        for name in ("", "x", str(uuid4()), "\udcff"):
            await process.services.redis.publish(CHANNEL.encode() + name.encode(errors="surrogateescape"), "")
        await process.tell("a")
        assert (await stream.event(5)).title == "a"


@pytest.mark.usefixtures("beating")
async def test_a_silent_stream_shows_that_it_lives(process: Process) -> None:
    async with listening(process.api) as stream:
        assert [await stream.block() for _ in range(3)] == [[": "]] * 3


async def revoke(services: Services, caller: Caller, holder: Holder) -> None:
    async with services.database.transaction() as tx:
        await revoke_api_key(tx, caller.tenant, holder.key_id, NOBODY)


async def disable(services: Services, caller: Caller, holder: Holder) -> None:
    async with services.database.transaction() as tx:
        await tx.execute("UPDATE principals SET disabled_at = now() WHERE id = $1", holder.principal_id)


async def dismiss(services: Services, caller: Caller, holder: Holder) -> None:
    async with services.database.transaction() as tx:
        await tx.execute("UPDATE memberships SET role = 'none' WHERE principal_id = $1", holder.principal_id)


@pytest.mark.usefixtures("beating")
@pytest.mark.parametrize("end", [revoke, disable, dismiss])
async def test_a_stream_ends_with_its_credential(
    process: Process, end: Callable[[Services, Caller, Holder], Awaitable[None]]
) -> None:
    holder = await make_holder(process.services, process.api.tenant, "viewer")
    async with listening(replace(process.api, key=holder.key)) as stream, listening(process.api) as other:
        assert await stream.block() == [": "]
        await end(process.services, process.api, holder)
        assert await stream.ended()
        await process.tell("a")
        assert (await other.event()).title == "a"


async def test_what_happens_after_a_key_was_revoked_is_not_told(process: Process) -> None:
    """Long before the next heartbeat."""
    holder = await make_holder(process.services, process.api.tenant, "viewer")
    viewer = replace(process.api, key=holder.key)
    async with listening(viewer) as stream:
        await process.tell("a")
        assert (await stream.event()).title == "a"
        await revoke(process.services, process.api, holder)
        async with asyncio.timeout(5):
            while (await viewer.send("GET", "/notifications")).status != 401:
                pass
        await process.tell("b")
        assert await stream.ended()


async def test_a_stream_that_has_much_to_tell_is_checked_meanwhile(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "HEARTBEAT", 0.001)
    await process.tell(*(str(n) for n in range(1000)))
    async with listening(process.api, "?lastEventId=0") as stream:
        await stream.event()
        assert [": "] in [await stream.block() for _ in range(999)]


@pytest.mark.usefixtures("often")
async def test_a_client_that_hangs_up_frees_its_place(process: Process) -> None:
    async with listening(process.api), listening(process.api):
        await process.until_open(2)
    await process.until_open(0)
    assert process.client.app[NOTIFICATIONS]._open == {}


async def test_a_stream_too_many_is_503_until_one_ends(process: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "MAX_STREAMS", 2)
    monkeypatch.setattr(streams, "POLL", SOON)
    async with listening(process.api):
        async with listening(process.api):
            refused = await process.api.get("/notifications/stream", status=503)
            assert int(refused.headers["Retry-After"]) >= 1
            assert "streams" in refused.json["message"]
        await process.until_open(1)
        async with listening(process.api) as stream:
            await process.tell("a")
            assert (await stream.event()).title == "a"


@asynccontextmanager
async def running_with(services: Services, **limits: int) -> AsyncIterator[Process]:
    settings = services.settings.model_copy(update=limits)
    async with running(replace(services, settings=settings)) as process:
        yield process


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream too many is refused without a pause."""
    monkeypatch.setattr(streams, "PAUSE_REFUSED", 0)


@pytest.mark.usefixtures("often", "at_once")
async def test_a_key_has_its_number_of_streams_and_leaves_the_others_to_other_keys(services: Services) -> None:
    async with running_with(services, streams_per_key=2) as process:
        holder = await make_holder(services, process.api.tenant, "viewer")
        other = replace(process.api, key=holder.key)
        async with listening(process.api), listening(process.api), listening(other):
            refused = await process.api.get("/notifications/stream", status=429)
            assert int(refused.headers["Retry-After"]) >= 1
            assert refused.json["limit"] == "streams_per_key"
        await process.until_open(0)
        async with listening(process.api):
            pass


@pytest.mark.usefixtures("at_once")
async def test_an_organisation_has_its_number_of_streams_whatever_the_number_of_its_keys(services: Services) -> None:
    async with running_with(services, streams_per_organisation=2) as process:
        stranger = await found_organisation(process.client, services)
        keys = [(await make_holder(services, process.api.tenant, "viewer")).key for _ in range(3)]
        first, second, third = (replace(process.api, key=key) for key in keys)
        async with listening(first), listening(second), listening(stranger):
            refused = await third.get("/notifications/stream", status=429)
            assert refused.json["limit"] == "streams_per_organisation"


async def test_a_refused_client_is_kept_waiting(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that asks again at once would otherwise keep the process busy with refusals."""
    monkeypatch.setattr(streams, "PAUSE_REFUSED", NEVER)
    async with running_with(services, streams_per_key=1) as process, listening(process.api):
        with pytest.raises(TimeoutError):
            await process.api.send("GET", "/notifications/stream", timeout=ClientTimeout(0.2))
        assert process.open == 1


async def test_head_opens_no_stream(process: Process) -> None:
    answer = await process.api.send("HEAD", "/notifications/stream")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/event-stream")
    assert process.open == 0


@asynccontextmanager
async def client_that_reads_nothing(process: Process) -> AsyncIterator[socket.socket]:
    """It asks for everything there is and takes none of it."""
    loop = asyncio.get_running_loop()
    with socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.setblocking(False)
        await loop.sock_connect(deaf, (process.client.host, process.client.port))
        head = f"GET {STREAM}?lastEventId=0 HTTP/1.1\r\nHost: x\r\nX-Api-Key: {process.api.key}\r\n\r\n"
        await loop.sock_sendall(deaf, head.encode())
        await process.until_open(1)
        yield deaf


async def fill(process: Process) -> None:
    """More than the buffers of any socket hold."""
    for _ in range(8):
        await process.tell(*"abcdefgh", aloud=False, message="x" * 250_000)


async def test_a_client_that_reads_nothing_is_given_up(process: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "TIMEOUT_WRITE", 0.3)
    await fill(process)
    async with client_that_reads_nothing(process):
        await process.until_open(0)


async def test_a_process_that_stops_waits_for_no_stream(services: Services) -> None:
    loop = asyncio.get_running_loop()
    async with AsyncExitStack() as clients, running(services) as process:
        await fill(process)
        await clients.enter_async_context(client_that_reads_nothing(process))
        streams_open = [await clients.enter_async_context(listening(process.api)) for _ in range(3)]
        await process.until_open(4)
        began = loop.time()
        await process.client.server.close()
        assert loop.time() - began < 5
        assert [await stream.ended() for stream in streams_open] == [True] * 3
        assert process.open == 0


async def test_a_process_that_stops_begins_no_stream(process: Process) -> None:
    process.client.app[NOTIFICATIONS].end()
    await process.api.get("/notifications/stream", status=503)
