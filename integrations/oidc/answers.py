"""Requests to identity providers: bounded in time and size, without redirects, each failure with a reason."""

import asyncio
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import aiohttp
import orjson
from yarl import URL

from domain.errors import Upstream
from domain.retries import ErrorClass
from integrations.channels import SendFailed
from integrations.transport import reaching

TIMEOUT = aiohttp.ClientTimeout(total=10)


class ProviderFailure(StrEnum):
    """Why an identity provider could not be used: a label for metrics and logs."""

    ADDRESS_REFUSED = "address_refused"
    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"
    REDIRECT = "redirect"
    STATUS = "status"
    TOO_LARGE = "too_large"
    NOT_JSON = "not_json"
    MALFORMED = "malformed"
    WRONG_ISSUER = "wrong_issuer"
    SIGN_IN_REFUSED = "sign_in_refused"


class ProviderError(Upstream):
    """The identity provider did not answer as needed (502). The message contains nothing that the provider chose.

    The only exception is its error code, if that is short and printable.
    """

    def __init__(self, reason: ProviderFailure, message: str) -> None:
        super().__init__(message)
        self.reason = reason


_REASONS = {
    ErrorClass.PERMANENT: ProviderFailure.ADDRESS_REFUSED,
    ErrorClass.THROTTLED: ProviderFailure.TIMEOUT,
    ErrorClass.TRANSIENT: ProviderFailure.UNREACHABLE,
}


async def get_object(session: aiohttp.ClientSession, url: str, limit: int) -> Mapping[str, Any]:
    """Get a JSON object of at most `limit` bytes. Raises ProviderError."""
    status, found = await request_object(session, "GET", url, limit)
    if status != 200:  # noqa: PLR2004
        raise failure(ProviderFailure.STATUS, url, f"answered {status}")
    return found


async def request_object(
    session: aiohttp.ClientSession, method: str, url: str, limit: int, **request: Any
) -> tuple[int, Mapping[str, Any]]:
    """Return the status and the JSON object that a provider answers. Raises ProviderError."""
    status, body = await _exchange(session, method, url, limit, request)
    if 300 <= status < 400:  # noqa: PLR2004
        raise failure(ProviderFailure.REDIRECT, url, "answered with a redirect, which is not followed")
    if len(body) > limit:
        raise failure(ProviderFailure.TOO_LARGE, url, f"answered with more than {limit} bytes")
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise failure(ProviderFailure.NOT_JSON, url, f"answered {status} without JSON") from None
    if not isinstance(found, dict):
        raise failure(ProviderFailure.MALFORMED, url, "did not answer with a JSON object")
    return status, found


def failure(reason: ProviderFailure, url: str, what: str) -> ProviderError:
    """Make an error that names the host, and no other part of the URL."""
    return ProviderError(reason, f"{URL(url).host} {what}.")


async def _exchange(
    session: aiohttp.ClientSession, method: str, url: str, limit: int, request: Mapping[str, Any]
) -> tuple[int, bytes]:
    """Return the status and one byte more than allowed at most."""
    headers = {"Accept": "application/json", **request.get("headers", {})}
    try:
        with reaching(URL(url).host):
            async with session.request(
                method, url, **{**request, "headers": headers}, allow_redirects=False, timeout=TIMEOUT
            ) as response:
                return response.status, await _beginning(response.content, limit + 1)
    except SendFailed as failed:
        raise ProviderError(_REASONS[failed.error_class], failed.reason) from None


async def _beginning(content: aiohttp.StreamReader, size: int) -> bytes:
    try:
        return await content.readexactly(size)
    except asyncio.IncompleteReadError as end:
        return end.partial
