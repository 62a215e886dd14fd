"""What all channels over HTTP share: how to classify a response or a failed request.

Reasons contain the host, but never the path or query, which may be secrets.
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
"""A connection that failed within so many seconds is retried once immediately."""

_THROTTLING = frozenset({429, 502, 504})
_RETRYABLE = frozenset({408, 425})
_MAX_SECONDS = 10**9

_BAD_URL = "The webhook's URL cannot be used."
_FAILURES: tuple[tuple[type[Exception], ErrorClass, str], ...] = (
    (aiohttp.ConnectionTimeoutError, ErrorClass.THROTTLED, "Connecting to {host} took too long."),
    (TimeoutError, ErrorClass.THROTTLED, "{host} did not answer in time."),
    (aiohttp.ClientSSLError, ErrorClass.TRANSIENT, "TLS with {host} failed{why}."),
    (aiohttp.ClientConnectorDNSError, ErrorClass.TRANSIENT, "The name {host} could not be resolved."),
    (aiohttp.ClientConnectorError, ErrorClass.TRANSIENT, "Connecting to {host} failed."),
    (aiohttp.NonHttpUrlClientError, ErrorClass.PERMANENT, _BAD_URL),
    (ValueError, ErrorClass.PERMANENT, _BAD_URL),
    (aiohttp.ClientResponseError, ErrorClass.TRANSIENT, "{host} did not answer in HTTP."),
)
"""The first entry that matches an error classifies it, so subclasses precede their base classes."""


def webhook_url(channel: Channel, target: ChannelTarget) -> URL:
    """Return the URL to post to. Raises SendFailed for a configuration without a valid `webhookUrl`."""
    written = target.config.get("webhookUrl")
    return _url(channel, written if isinstance(written, str) else None)


@lru_cache(maxsize=1024)
def _url(channel: Channel, written: str | None) -> URL:
    """Validate and parse a URL; cached for further messages to it."""
    try:
        return URL(config_of(channel, ChannelTarget({"webhookUrl": written}))["webhookUrl"])
    except ValueError:
        raise SendFailed(ErrorClass.PERMANENT, _BAD_URL) from None


@contextmanager
def reaching(host: str | None) -> Iterator[None]:
    """Turn the errors of a request into SendFailed.

    The original error is not chained, because aiohttp's errors contain the whole URL.
    """
    began = monotonic()
    try:
        yield
    except (Rejected, TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
        raise _failure(error, host, quick=monotonic() - began < _QUICK) from None


async def response_text(response: aiohttp.ClientResponse) -> str:
    """Read the first MAX_RESPONSE bytes of a response as storable text, without waiting for the rest."""
    try:
        body = await response.content.readexactly(MAX_RESPONSE)
    except asyncio.IncompleteReadError as end:
        body = end.partial
    return storable(body.decode("utf-8", "replace"))


def answer(host: str | None, status: int, headers: Mapping[str, str], text: str, now: datetime) -> SendResult:
    """Make the result of a response. Raises SendFailed for any status other than 2xx; `text` is stored unchanged."""
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
    """Parse a Retry-After in seconds or as a date (RFC 9110, 10.2.3); None if it is missing or malformed."""
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
    if status in _RETRYABLE or status >= 500:  # noqa: PLR2004
        return ErrorClass.TRANSIENT
    return ErrorClass.PERMANENT


def _failure(error: Exception, host: str | None, *, quick: bool) -> SendFailed:
    if isinstance(error, Rejected):
        return SendFailed(ErrorClass.PERMANENT, error.message)
    for kind, error_class, reason in _FAILURES:
        if isinstance(error, kind):
            unconnected = isinstance(error, aiohttp.ClientConnectorError)
            return SendFailed(error_class, reason.format(host=host, why=_why(error)), quick=quick and unconnected)
    return SendFailed(ErrorClass.TRANSIENT, f"{host} closed the connection.")


def _why(error: Exception) -> str:
    cause = error.certificate_error if isinstance(error, aiohttp.ClientConnectorCertificateError) else None
    message = getattr(cause, "verify_message", None)
    return f" ({message})" if message else ""
