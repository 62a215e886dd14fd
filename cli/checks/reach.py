"""Whether destinations can be reached: a name is looked up, a connection is made and closed. Nothing is sent."""

import asyncio
import os
import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from cli.checks.findings import DoctorFinding, fail, ok
from domain.addresses import Network, refusal

MAX_CONCURRENT = 16
TIMEOUT_CONNECT = 5.0
"""Seconds for one destination."""

_MAIL_PORTS = {"smtp": 25, "smtp+starttls": 587, "smtps": 465}
_GREETING = b"220"  # RFC 5321 4.2.3


@dataclass(frozen=True, slots=True)
class Address:
    """A destination: what people call it, and its URL, which may be a secret."""

    name: str
    url: str


class Unreached(Exception):  # noqa: N818 - its message is what was found
    """No connection came about."""


async def examine_reach(endpoints: Sequence[Address], allowed: Sequence[Network]) -> list[DoctorFinding]:
    """A line for each; `allowed` are the private networks that may be reached."""
    turns = asyncio.Semaphore(MAX_CONCURRENT)

    async def probe(endpoint: Address) -> DoctorFinding:
        async with turns:
            return await _probe(endpoint, allowed)

    return await asyncio.gather(*map(probe, endpoints))


async def _probe(endpoint: Address, allowed: Sequence[Network]) -> DoctorFinding:
    try:
        parts = urlsplit(endpoint.url)
        host, tls = parts.hostname or "", parts.scheme == "https"
        port = parts.port or (443 if tls else 80)
        async with asyncio.timeout(TIMEOUT_CONNECT):
            await _dial(host, await _permitted(host, port, allowed, tls=tls), port, tls=tls)
    except (Unreached, OSError, ValueError) as error:  # ValueError: no such host or port can be
        advice = "correct the rule's webhookUrl, or open the way there"
        return fail("reach", f"{endpoint.name}: {_reason(error)}", advice)
    return ok("reach", f"{endpoint.name} takes connections")


async def _permitted(host: str, port: int, allowed: Sequence[Network], *, tls: bool) -> list[str]:
    """Those addresses of the name that may be dialled; they are dialled as they stand, not looked up again."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = dict.fromkeys(str(info[4][0]) for info in found)
    reasons = {address: refusal(address, port, tls=tls, allowed=allowed) for address in addresses}
    permitted = [address for address, reason in reasons.items() if reason is None]
    if not permitted:
        raise Unreached("; ".join(f"{address} may not be reached: {reason}" for address, reason in reasons.items()))
    return permitted


async def _dial(host: str, addresses: Sequence[str], port: int, *, tls: bool) -> None:
    """Reach one of the addresses. Raises what the last one failed with."""
    for address in addresses:
        try:
            async with _connection(host, address, port, tls=tls):
                return
        except OSError:
            if address == addresses[-1]:
                raise


async def examine_mail(smtp_url: str) -> DoctorFinding:
    """Whether the mail server greets us. It is the operator's own choice, so no address is refused."""
    parts = urlsplit(smtp_url)
    host, port, tls = parts.hostname or "", parts.port or _MAIL_PORTS[parts.scheme], parts.scheme == "smtps"
    advice = "correct TRAILGATE_SMTP_URL, or see to the server"
    try:
        async with asyncio.timeout(TIMEOUT_CONNECT), _connection(host, host, port, tls=tls) as greeted:
            greeting = await greeted.readline()
    except (OSError, ValueError) as error:
        return fail("mail", f"{host} port {port}: {_reason(error)}", advice)
    if not greeting.startswith(_GREETING):
        return fail("mail", f"{host} port {port} does not greet as a mail server does", advice)
    return ok("mail", f"{host} port {port} takes connections")


@asynccontextmanager
async def _connection(host: str, address: str, port: int, *, tls: bool) -> AsyncIterator[asyncio.StreamReader]:
    context = ssl.create_default_context() if tls else None
    reader, writer = await asyncio.open_connection(address, port, ssl=context, server_hostname=host if tls else None)
    try:
        yield reader
    finally:
        writer.transport.abort()  # nothing was said, so nothing needs an orderly end


def _reason(error: Exception) -> str:
    match error:
        case socket.gaierror():
            return "its name is unknown"
        case ssl.SSLCertVerificationError():
            return f"its certificate does not hold: {error.verify_message}"
        case TimeoutError():
            return f"no connection within {TIMEOUT_CONNECT:.0f} s"
        case OSError(errno=int(number)) if number > 0:  # asyncio's own words for it are vague
            return os.strerror(number).lower()
        case _:
            return str(error)
