"""What every channel over HTTP shares: how an answer, or the lack of one, becomes a receipt or a failure.

The classes are those of engineering.md 2.5. Reasons name the host and never the path or query, which may be secrets.
"""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache
from time import monotonic

import aiohttp
from yarl import URL

from domain.errors import Rejected
from domain.notifications.rules import Channel
from domain.retries import ErrorClass
from integrations.channels import MAX_RESPONSE, ChannelTarget, SendFailed, SendResult, config_of, storable

_QUICK = 1.0
"""Seconds within which a connection that failed is worth one try at once."""

_THROTTLING = frozenset({429, 502, 504})
_PASSING = frozenset({408, 425})
_MAX_SECONDS = 10**9

_NO_ADDRESS = "The address is not one that can be called."
_FAILURES: tuple[tuple[type[Exception], ErrorClass, str], ...] = (
    (aiohttp.ConnectionTimeoutError, ErrorClass.THROTTLED, "No connection to {host} came about in time."),
    (TimeoutError, ErrorClass.THROTTLED, "{host} did not answer in time."),
    (aiohttp.ClientSSLError, ErrorClass.TRANSIENT, "{host} does not prove by TLS who it is{why}."),
    (aiohttp.ClientConnectorDNSError, ErrorClass.TRANSIENT, "The name {host} could not be resolved."),
    (aiohttp.ClientConnectorError, ErrorClass.TRANSIENT, "{host} did not take the connection."),
    (aiohttp.NonHttpUrlClientError, ErrorClass.PERMANENT, _NO_ADDRESS),
    (ValueError, ErrorClass.PERMANENT, _NO_ADDRESS),
    (aiohttp.ClientResponseError, ErrorClass.TRANSIENT, "{host} did not answer in HTTP."),
)
"""The first that fits an error says what it means: special ones stand before those that they are kinds of."""


def webhook_url(channel: Channel, target: ChannelTarget) -> URL:
    """Where a channel that posts is to post to. Raises SendFailed for a configuration without a good `webhookUrl`."""
    written = target.config.get("webhookUrl")
    return _url(channel, written if isinstance(written, str) else None)


@lru_cache(maxsize=1024)
def _url(channel: Channel, written: str | None) -> URL:
    """Read once for all the messages that go there."""
    try:
        return URL(config_of(channel, ChannelTarget({"webhookUrl": written}))["webhookUrl"])
    except ValueError:
        raise SendFailed(ErrorClass.PERMANENT, _NO_ADDRESS) from None


@contextmanager
def reaching(host: str | None) -> Iterator[None]:
    """Turn what can go wrong between a request and its answer into SendFailed.

    The error itself is not chained: aiohttp's name the whole URL.
    """
    began = monotonic()
    try:
        yield
    except (Rejected, TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
        raise _failure(error, host, quick=monotonic() - began < _QUICK) from None


async def said(response: aiohttp.ClientResponse) -> str:
    """The first MAX_RESPONSE bytes of an answer, fit to be kept; the rest is not waited for."""
    try:
        body = await response.content.readexactly(MAX_RESPONSE)
    except asyncio.IncompleteReadError as end:
        body = end.partial
    return storable(body.decode("utf-8", "replace"))


def answer(host: str | None, status: int, headers: Mapping[str, str], text: str, now: datetime) -> SendResult:
    """What an answer means. Raises SendFailed for any status but 2xx; `text` is kept as it is."""
    if 200 <= status < 300:  # noqa: PLR2004
        return SendResult(status, text)
    error_class = _class_of(status)
    raise SendFailed(
        error_class,
        f"{host} answered {status}.",
        status_code=status,
        response=text,
        retry_after=None if error_class is ErrorClass.PERMANENT else retry_after(headers.get("Retry-After"), now),
        gone=status == 410,  # noqa: PLR2004
    )


def retry_after(value: str | None, now: datetime) -> timedelta | None:
    """The wait that a Retry-After asks for, in seconds or as a date (RFC 9110 10.2.3); None if it makes no sense."""
    text = (value or "").strip()
    if text.isascii() and text.isdigit():
        return timedelta(seconds=min(int(text[:20]), _MAX_SECONDS))
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    zoned = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(zoned - now, timedelta())


def _class_of(status: int) -> ErrorClass:
    if status in _THROTTLING:
        return ErrorClass.THROTTLED
    if status in _PASSING or status >= 500:  # noqa: PLR2004
        return ErrorClass.TRANSIENT
    return ErrorClass.PERMANENT


def _failure(error: Exception, host: str | None, *, quick: bool) -> SendFailed:
    if isinstance(error, Rejected):
        return SendFailed(ErrorClass.PERMANENT, error.message)
    for kind, error_class, reason in _FAILURES:
        if isinstance(error, kind):
            unconnected = isinstance(error, aiohttp.ClientConnectorError)
            return SendFailed(error_class, reason.format(host=host, why=_why(error)), quick=quick and unconnected)
    return SendFailed(ErrorClass.TRANSIENT, f"{host} cut the connection.")


def _why(error: Exception) -> str:
    cause = error.certificate_error if isinstance(error, aiohttp.ClientConnectorCertificateError) else None
    told = getattr(cause, "verify_message", None)
    return f" ({told})" if told else ""
