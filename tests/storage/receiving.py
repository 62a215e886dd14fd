"""Other people's servers, for tests of what we send: real ones, on this machine's own network."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.test_utils import TestServer
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from storage.settings import Settings

LOCAL = Settings(outbound_allow="127.0.0.0/8")
"""Settings under which a test's own servers may be reached."""


@dataclass
class Receiver:
    """A web server that keeps what it is sent and answers as it is told."""

    answers: Callable[[web.Request], Awaitable[web.StreamResponse]]
    requests: list[tuple[web.Request, bytes]] = field(default_factory=list)
    peers: list[Any] = field(default_factory=list)
    url: str = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        self.peers.append(request.transport.get_extra_info("peername"))
        self.requests.append((request, await request.read()))
        return await self.answers(request)


@asynccontextmanager
async def receiving(
    answers: Callable[[web.Request], Awaitable[web.StreamResponse]] | None = None, host: str = "127.0.0.1"
) -> AsyncIterator[Receiver]:
    """A receiver; without `answers` it says 200 to everything."""

    async def content(_: web.Request) -> web.Response:
        return web.Response(text="ok")

    receiver = Receiver(answers or content)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", receiver.handle)
    async with TestServer(app, host=host) as server:
        receiver.url = str(server.make_url("/hook?token=hush"))
        yield receiver


def answering(status: int, text: str = "", **headers: str) -> Callable[[web.Request], Awaitable[web.Response]]:
    """Always the same answer; header names are spelled with `_` for `-`."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status, text=text, headers={k.replace("_", "-"): v for k, v in headers.items()})

    return answer


@asynccontextmanager
async def speaking(*said: bytes, tls: ssl.SSLContext | None = None, stay: bool = False) -> AsyncIterator[str]:
    """A server that reads a request's head, says these bytes whatever was asked, and hangs up unless it is to stay."""
    leaving = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            for part in said:
                writer.write(part)
                await writer.drain()
            if stay:
                await leaving.wait()
        except (OSError, asyncio.IncompleteReadError):
            pass  # the client left first
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield f"{'https' if tls else 'http'}://127.0.0.1:{port}/hook?token=hush"
        leaving.set()


class Names(AbstractResolver):
    """A resolver whose every look-up of any name answers with the next list of addresses; the last one stays."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked = 0

    async def resolve(self, host: str, port: int = 0, family: Any = 0) -> list[ResolveResult]:
        self.asked += 1
        found = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if not found:
            raise OSError(None, "Name or service not known")
        return [ResolveResult(hostname=host, host=address, port=port, family=0, proto=0, flags=0) for address in found]

    async def close(self) -> None:
        pass


def self_signed(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """A certificate for 127.0.0.1 that nobody vouches for, and a server's context with it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    kind = serialization.Encoding.PEM
    plain = serialization.NoEncryption()
    public, private = folder / "certificate.pem", folder / "key.pem"
    public.write_bytes(certificate.public_bytes(kind))
    private.write_bytes(key.private_bytes(kind, serialization.PrivateFormat.PKCS8, plain))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(public, private)
    return public, context
