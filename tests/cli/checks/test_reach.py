"""Trying the way to a destination: real sockets, and nothing is said over them."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from cli.checks import reach
from cli.checks.findings import DoctorFinding, Level
from cli.checks.reach import Address, examine_mail, examine_reach
from domain.addresses import networks
from tests.storage.receiving import self_signed

LOCAL = networks("127.0.0.0/8")


class Listener:
    """Takes connections, keeps what it was told before the other side left."""

    def __init__(self, greeting: bytes = b"") -> None:
        self.greeting = greeting
        self.heard: list[bytes] = []
        self.port = 0

    async def serve(self, client: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(self.greeting)
        try:
            self.heard.append(await client.read())
        except OSError:
            self.heard.append(b"")
        finally:
            writer.close()


@asynccontextmanager
async def listening(greeting: bytes = b"", tls: ssl.SSLContext | None = None) -> AsyncIterator[Listener]:
    listener = Listener(greeting)
    async with await asyncio.start_server(listener.serve, "127.0.0.1", 0, ssl=tls) as server:
        listener.port = server.sockets[0].getsockname()[1]
        yield listener


async def tried(*urls: str, allowed: tuple = LOCAL) -> list[DoctorFinding]:
    return await examine_reach([Address(f"hook {n}", url) for n, url in enumerate(urls)], allowed)


async def test_a_way_that_is_open_is_found_open_and_nothing_is_sent() -> None:
    async with listening() as one, listening() as two:
        found = await tried(*(f"http://127.0.0.1:{port}/secret" for port in (one.port, two.port)))
        await asyncio.sleep(0.05)
        assert (one.heard, two.heard) == ([b""], [b""])
    assert [(f.level, f.found) for f in found] == [
        (Level.OK, "hook 0 accepts connections"),
        (Level.OK, "hook 1 accepts connections"),
    ]


async def test_a_closed_port_an_unknown_name_and_an_address_that_is_none() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    found = await tried(
        f"http://127.0.0.1:{port}/secret",
        "https://no.such.host.invalid/secret",
        "https://:99999/secret",
        "https://[::1/secret",
        "",
    )
    assert {one.level for one in found} == {Level.FAIL}
    assert found[0].found == "hook 0: connection refused"
    assert found[1].found == "hook 1: its name is unknown"
    assert not [one for one in found if "secret" in one.found]
    assert {one.advice for one in found} == {"correct the rule's webhookUrl, or allow the connection in your network"}


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://127.0.0.1/x", "127.0.0.1 may not be reached: loopback"),
        ("https://localhost/x", "127.0.0.1 may not be reached: loopback"),
        ("https://169.254.169.254/latest", "169.254.169.254 may not be reached: link-local"),
        ("http://9.9.9.9/x", "9.9.9.9 may not be reached: only https is allowed"),
        ("https://9.9.9.9:25/x", "9.9.9.9 may not be reached: only the ports 443 and 8443 are allowed"),
    ],
)
async def test_what_the_relay_may_not_dial_is_not_dialled_here(url: str, reason: str) -> None:
    [found] = await tried(url, allowed=())
    assert (found.level, reason in found.found) == (Level.FAIL, True), found
    assert "TRAILGATE_OUTBOUND_ALLOW" in found.advice


async def test_a_certificate_must_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate, context = self_signed(tmp_path)
    async with listening(tls=context) as listener:
        url = f"https://127.0.0.1:{listener.port}/x"
        [stranger] = await tried(url)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        [trusted] = await tried(url)
    assert (stranger.level, "self-signed certificate" in stranger.found) == (Level.FAIL, True), stranger
    assert trusted.level is Level.OK, trusted


async def test_who_speaks_no_tls_is_told() -> None:
    async with listening(b"HTTP/1.1 400 Bad Request\r\n\r\n") as listener:
        [found] = await tried(f"https://127.0.0.1:{listener.port}/x")
    assert found.level is Level.FAIL


async def test_a_host_that_does_not_answer_costs_its_patience_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reach, "TIMEOUT_CONNECT", 0.2)
    async with listening() as listener:  # it never takes part in a handshake
        found = await asyncio.wait_for(tried(*[f"https://127.0.0.1:{listener.port}/x"] * 20), 10)
    assert {one.found.partition(": ")[2] for one in found} == {"no connection within 0 s"}


async def test_another_address_of_a_name_is_tried() -> None:
    async with listening() as listener:
        await reach._dial("two.example", ["127.0.0.9", "127.0.0.1"], listener.port, tls=False)
    with pytest.raises(ConnectionRefusedError):
        await reach._dial("two.example", ["127.0.0.9", "127.0.0.1"], listener.port, tls=False)


@pytest.mark.parametrize(
    ("greeting", "level"),
    [(b"220 mail.example ESMTP\r\n", Level.OK), (b"554 no\r\n", Level.FAIL), (b"SSH-2.0-x\r\n", Level.FAIL)],
)
async def test_a_mail_server_greets(greeting: bytes, level: Level) -> None:
    async with listening(greeting) as listener:
        found = await examine_mail(f"smtp://ann:pass@127.0.0.1:{listener.port}")
    assert found.level is level
    assert "pass" not in found.found + found.advice


async def test_a_mail_server_by_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate, context = self_signed(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    async with listening(b"220 mail.example ESMTP\r\n", tls=context) as listener:
        assert (await examine_mail(f"smtps://127.0.0.1:{listener.port}")).level is Level.OK


async def test_no_mail_server_is_there() -> None:
    found = await examine_mail("smtp+starttls://no.such.host.invalid")
    assert (found.level, found.found) == (Level.FAIL, "no.such.host.invalid port 587: its name is unknown")
