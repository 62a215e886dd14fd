"""Check that destinations can be reached: resolve the name, open a connection and close it. Nothing is sent."""

import asyncio
import os
import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from cli.checks.findings import DoctorFinding, fail, ok
from domain.addresses import REMEDY, Network, refusal

MAX_CONCURRENT = 16
TIMEOUT_CONNECT = 5.0
"""Seconds to connect to one destination."""

_MAIL_PORTS = {"smtp": 25, "smtp+starttls": 587, "smtps": 465}
_GREETING = b"220"  # RFC 5321 4.2.3


@dataclass(frozen=True, slots=True)
class Address:
    """A destination: its name for people, and its URL, which may be a secret."""

    name: str
    url: str


class Unreached(Exception):  # noqa: N818 - its message becomes the finding
    """Every address of a destination is refused."""


async def examine_reach(endpoints: Sequence[Address], allowed: Sequence[Network]) -> list[DoctorFinding]:
    """Return a finding for each destination; `allowed` are the private networks that may be reached."""
    slots = asyncio.Semaphore(MAX_CONCURRENT)

    async def probe(endpoint: Address) -> DoctorFinding:
        async with slots:
            return await _probe(endpoint, allowed)

    return await asyncio.gather(*map(probe, endpoints))


async def _probe(endpoint: Address, allowed: Sequence[Network]) -> DoctorFinding:
    try:
        parts = urlsplit(endpoint.url)
        host, tls = parts.hostname or "", parts.scheme == "https"
        port = parts.port or (443 if tls else 80)
        async with asyncio.timeout(TIMEOUT_CONNECT):
            await _dial(host, await _permitted(host, port, allowed, tls=tls), port, tls=tls)
    except Unreached as error:
        return fail("reach", f"{endpoint.name}: {error}", f"correct the rule's webhookUrl; {REMEDY}")
    except (OSError, ValueError) as error:  # ValueError: an impossible host or port
        advice = "correct the rule's webhookUrl, or allow the connection in your network"
        return fail("reach", f"{endpoint.name}: {_reason(error)}", advice)
    return ok("reach", f"{endpoint.name} accepts connections")


async def _permitted(host: str, port: int, allowed: Sequence[Network], *, tls: bool) -> list[str]:
    """Return the permitted addresses of a name, to connect to without resolving the name again. Raises Unreached."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = dict.fromkeys(str(info[4][0]) for info in found)
    reasons = {address: refusal(address, port, tls=tls, allowed=allowed) for address in addresses}
    permitted = [address for address, reason in reasons.items() if reason is None]
    if not permitted:
        raise Unreached("; ".join(f"{address} may not be reached: {reason}" for address, reason in reasons.items()))
    return permitted


async def _dial(host: str, addresses: Sequence[str], port: int, *, tls: bool) -> None:
    """Connect to one of the addresses. Raises the error of the last one when all fail."""
    for address in addresses:
        try:
            async with _connection(host, address, port, tls=tls):
                return
        except OSError:
            if address == addresses[-1]:
                raise


async def examine_mail(smtp_url: str) -> DoctorFinding:
    """Check that the mail server sends a greeting. The operator chose it, so every address is permitted."""
    parts = urlsplit(smtp_url)
    host, port, tls = parts.hostname or "", parts.port or _MAIL_PORTS[parts.scheme], parts.scheme == "smtps"
    advice = "correct TRAILGATE_SMTP_URL, or repair the server"
    try:
        async with asyncio.timeout(TIMEOUT_CONNECT), _connection(host, host, port, tls=tls) as greeted:
            greeting = await greeted.readline()
    except (OSError, ValueError) as error:
        return fail("mail", f"{host} port {port}: {_reason(error)}", advice)
    if not greeting.startswith(_GREETING):
        return fail("mail", f"{host} port {port} does not answer like a mail server", advice)
    return ok("mail", f"{host} port {port} accepts connections")


@asynccontextmanager
async def _connection(host: str, address: str, port: int, *, tls: bool) -> AsyncIterator[asyncio.StreamReader]:
    context = ssl.create_default_context() if tls else None
    reader, writer = await asyncio.open_connection(address, port, ssl=context, server_hostname=host if tls else None)
    try:
        yield reader
    finally:
        writer.transport.abort()  # nothing was sent, so no orderly shutdown is needed


def _reason(error: Exception) -> str:
    match error:
        case socket.gaierror():
            return "its name is unknown"
        case ssl.SSLCertVerificationError():
            return f"its certificate is not valid: {error.verify_message}"
        case TimeoutError():
            return f"no connection within {TIMEOUT_CONNECT:.0f} s"
        case OSError(errno=int(number)) if number > 0:  # asyncio's own message is vague
            return os.strerror(number).lower()
        case _:
            return str(error)
