import asyncio
import gzip
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from yarl import URL

from domain.errors import Rejected
from storage.outbound import MAX_ANSWER, open_outbound
from storage.services import Services, open_services
from storage.settings import Settings
from tests.conftest import Installation
from tests.storage.receiving import LOCAL, Names, answering, receiving, self_signed, speaking

DEFAULT = Settings()


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("https://127.0.0.1/", "loopback"),
        ("https://0x7f.1/", "loopback"),
        ("https://localhost:8443/", "loopback"),
        ("https://[::1]/", "loopback"),
        ("https://[::ffff:10.0.0.1]/", "private network"),
        ("https://[fe80::1%25lo]/", "link-local"),
        ("https://169.254.169.254/latest/meta-data/", "link-local"),
        ("https://user:password@10.0.0.1/", "private network"),
        ("http://8.8.8.8/", "only https"),
        ("http://8.8.8.8:443/", "only https"),
        ("https://8.8.8.8:22/", "only the ports 443 and 8443"),
    ],
)
async def test_what_must_not_be_reached_is_refused_before_it_is_dialled(url: str, reason: str) -> None:
    async with open_outbound(DEFAULT) as outbound:
        with pytest.raises(Rejected, match=reason) as refused:
            await outbound.post(url, data=b"x")
    assert str(URL(url).host) in refused.value.message
    assert "password" not in refused.value.message


@pytest.mark.parametrize(
    "url", ["https://2130706433/", "https://127.1/", "wss://example.org/", "file:///etc/passwd", "x"]
)
async def test_what_is_no_address_of_the_web_is_refused(url: str) -> None:
    async with open_outbound(LOCAL) as outbound:
        with pytest.raises(aiohttp.ClientError):
            await outbound.get(url)


async def test_a_name_of_private_addresses_is_refused() -> None:
    for found in (["10.0.0.1"], ["10.0.0.1", "fd00::1"], ["::1", "127.0.0.1", "192.168.1.1"]):
        async with open_outbound(DEFAULT, Names(found)) as outbound:
            with pytest.raises(Rejected, match=r"The address hooks\.example may not be reached: "):
                await outbound.post("https://hooks.example/")


async def test_an_allowed_network_is_reached_by_http_at_any_port() -> None:
    async with (
        receiving() as receiver,
        open_outbound(LOCAL) as outbound,
        outbound.post(receiver.url, data=b"hello") as response,
    ):
        assert (response.status, await response.text()) == (200, "ok")
    [(request, body)] = receiver.requests
    assert body == b"hello"
    assert request.headers["User-Agent"] == "Trailgate"
    assert request.headers["Accept-Encoding"] == "identity"


async def test_the_address_that_was_judged_is_the_address_that_is_dialled() -> None:
    """A name that changes between two look-ups gains nothing: there is no look-up after the judgement."""
    allowed = Settings(outbound_allow="127.0.0.1/32")
    names = Names(["127.0.0.1"], ["127.0.0.2"])
    async with (
        receiving() as good,
        receiving(host="127.0.0.2") as bad,
        open_outbound(allowed, names) as outbound,
        outbound.get(f"http://rebind.example:{URL(good.url).port}/") as response,
    ):
        assert response.status == 200
        assert names.asked == 1
        with pytest.raises(Rejected, match="loopback"):
            await outbound.get(f"http://rebind.example:{URL(bad.url).port}/")
        assert names.asked == 2
    assert len(good.requests) == 1
    assert not bad.requests


async def test_of_several_addresses_only_the_permitted_are_dialled() -> None:
    allowed = Settings(outbound_allow="127.0.0.1/32")
    async with (
        receiving() as good,
        open_outbound(allowed, Names(["10.0.0.1", "127.0.0.1", "::1"])) as outbound,
        outbound.get(f"http://both.example:{URL(good.url).port}/") as response,
    ):
        assert response.status == 200
    assert len(good.requests) == 1


async def test_a_permitted_address_that_fails_is_a_failure_and_no_refusal() -> None:
    """Else a name with one bad record would be given up for good when its host is merely down."""
    allowed = Settings(outbound_allow="127.0.0.1/32")
    async with receiving() as gone:
        pass
    async with open_outbound(allowed, Names(["10.0.0.1", "127.0.0.1"])) as outbound:
        with pytest.raises(aiohttp.ClientConnectorError):
            await outbound.get(f"http://both.example:{URL(gone.url).port}/")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_an_answer_even_to_those_who_would_follow(status: int) -> None:
    async with (
        receiving() as secret,
        receiving(answering(status, Location=secret.url)) as receiver,
        open_outbound(LOCAL) as outbound,
        outbound.request("POST", receiver.url, data=b"x", allow_redirects=True) as response,
    ):
        assert response.status == status
        assert "Location" not in response.headers
    assert len(receiver.requests) == 1
    assert not secret.requests


async def test_a_location_that_is_no_redirect_is_kept() -> None:
    async with (
        receiving(answering(201, Location="/made/1")) as receiver,
        open_outbound(LOCAL) as outbound,
        outbound.post(receiver.url) as response,
    ):
        assert response.headers["Location"] == "/made/1"


async def test_no_proxy_gets_round_the_guard(monkeypatch: pytest.MonkeyPatch) -> None:
    async with receiving() as proxy, open_outbound(LOCAL) as outbound:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.setenv("https_proxy", proxy.url)
        with pytest.raises(Rejected, match="private network"):
            await outbound.get("https://10.0.0.1/")
        with pytest.raises(Rejected, match="proxy"):
            await outbound.get("http://10.0.0.1/", proxy=proxy.url)
    assert not proxy.requests


async def test_no_cookie_is_kept_for_the_next_request() -> None:
    async with (
        receiving(answering(200, Set_Cookie="id=1; Path=/")) as receiver,
        open_outbound(LOCAL, Names(["127.0.0.1"])) as outbound,
    ):
        for _ in range(2):
            async with outbound.get(URL(receiver.url).with_host("hooks.example")):
                pass
    assert ["Cookie" in request.headers for request, _ in receiver.requests] == [False, False]


async def test_an_endless_answer_is_read_up_to_the_cap() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n"
    async with (
        speaking(head, *[b"x" * 2**16] * 40, stay=True) as url,
        open_outbound(LOCAL) as outbound,
        outbound.get(url) as response,
    ):
        assert len(await response.text()) == MAX_ANSWER
        assert await response.read() == b"x" * MAX_ANSWER


async def test_nothing_is_decompressed() -> None:
    bomb = gzip.compress(bytes(50 * 2**20))

    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=bomb, headers={"Content-Encoding": "gzip"})

    async with receiving(answer) as receiver, open_outbound(LOCAL) as outbound, outbound.get(receiver.url) as response:
        assert await response.read() == bomb


@pytest.mark.parametrize("charset", ["utf-7", "punycode", "base64", "unicode_escape", "utf-16", "nonsense"])
async def test_the_sender_does_not_choose_the_codec(charset: str) -> None:
    said = b"caf\xc3\xa9 \xff +AGE-"

    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=said, headers={"Content-Type": f"text/plain; charset={charset}"})

    async with receiving(answer) as receiver, open_outbound(LOCAL) as outbound, outbound.get(receiver.url) as response:
        assert await response.text() == "café \N{REPLACEMENT CHARACTER} +AGE-"


async def test_an_answer_without_a_body_reads_as_empty() -> None:
    async with (
        receiving(answering(204)) as receiver,
        open_outbound(LOCAL) as outbound,
        outbound.get(receiver.url) as response,
    ):
        assert await response.read() == b""


async def test_a_body_that_is_cut_off_is_an_error_and_no_short_answer() -> None:
    async with (
        speaking(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort") as url,
        open_outbound(LOCAL) as outbound,
        outbound.get(url) as response,
    ):
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()


async def test_a_slow_answer_ends_at_the_time_of_the_setting() -> None:
    hasty = Settings(outbound_allow="127.0.0.0/8", outbound_timeout=0.2)
    async with speaking(b"HTTP/1.1 200 OK\r\n", stay=True) as url, open_outbound(hasty) as outbound:
        with pytest.raises(TimeoutError):
            await outbound.get(url)


async def test_a_certificate_is_checked_in_allowed_networks_too(tmp_path: Path) -> None:
    _, tls = self_signed(tmp_path)
    async with speaking(b"HTTP/1.1 200 OK\r\n\r\n", tls=tls) as url, open_outbound(LOCAL) as outbound:
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await outbound.get(url)


async def test_many_slow_receivers_do_not_make_another_wait() -> None:
    leave = asyncio.Event()

    async def wait(_: web.Request) -> web.Response:
        await leave.wait()
        return web.Response()

    async with receiving(wait) as slow, receiving() as quick, open_outbound(LOCAL) as outbound:
        waiting = [asyncio.create_task(outbound.get(slow.url)) for _ in range(150)]
        async with asyncio.timeout(10):
            while len(slow.requests) < 150:
                await asyncio.sleep(0.01)
        async with asyncio.timeout(5), outbound.get(quick.url) as response:
            assert response.status == 200
        leave.set()
        for response in await asyncio.gather(*waiting):
            response.release()


async def test_services_hold_the_session_and_close_it(installation: Installation, tmp_path: Path) -> None:
    settings = installation.settings(tmp_path, outbound_allow="127.0.0.0/8")
    async with (
        receiving() as receiver,
        open_services(settings, "test") as services,
        services.outbound.get(receiver.url) as response,
    ):
        assert response.status == 200
    assert services.outbound.closed


async def test_services_reach_nothing_private_by_default(services: Services) -> None:
    async with receiving() as receiver:
        with pytest.raises(Rejected, match="loopback"):
            await services.outbound.get(receiver.url)
    assert not receiver.requests
