"""Read the bodies of requests: bounded in size and time, and inflated only where the sender is known."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from aiohttp import HttpVersion11, hdrs, web
from aiohttp.http_exceptions import HttpProcessingError

from api.http.transport.encodings import Inflater, coding_of
from domain.errors import Invalid, TooLarge

HANDLER_ARGS = {"auto_decompress": False}
"""For `web.Application`: aiohttp itself would inflate each body as it arrives, whoever sends it."""
PATIENCE: web.AppKey[float] = web.AppKey("patience", float)
"""Seconds that a sender may keep the server waiting, beyond the time that `MIN_RATE` allows."""
DEFAULT_PATIENCE = 30.0
MIN_RATE = 1024
"""Bytes of a body that one more second of waiting costs."""


@dataclass(frozen=True, slots=True)
class Unread:
    """The body of a request, for a handler that first looks at the headers. `max_body` is the route's, in bytes."""

    request: web.Request
    max_body: int


async def read_body(request: web.Request, max_body: int) -> bytes:
    """Return the whole body, inflated. Raises TooLarge over `max_body` bytes, without reading the rest.

    Only for senders that are known: an unknown one could send a few bytes that inflate to very many.
    """
    check_length(request, max_body)
    if coding_of(request) is None and (whole := arrived(request)) is not None:
        if len(whole) > max_body:
            raise too_large(max_body)
        return whole
    chunks, size = [], 0
    async for chunk in arriving(request):
        chunks.append(chunk)
        size += len(chunk)
        if size > max_body:
            raise too_large(max_body)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def check_length(request: web.Request, max_body: int) -> None:
    """Raise TooLarge for a body whose declared length is over `max_body` bytes."""
    if (request.content_length or 0) > max_body:
        raise too_large(max_body)


def too_large(max_body: int) -> TooLarge:
    """Return the error for a body of more than `max_body` bytes."""
    return TooLarge(f"The body is larger than the {max_body} bytes this route accepts")


def arrived(request: web.Request) -> bytes | None:
    """Return the body as it was sent if all of it is here, as it mostly is; otherwise None."""
    content = request.content
    return content.read_nowait() if content.is_eof() and content.exception() is None else None


async def arriving(request: web.Request) -> AsyncIterator[bytes]:
    """Yield the body inflated as it arrives, in pieces that hold the event loop for a moment only."""
    coding = coding_of(request)
    if coding is None:
        async for chunk in received(request):
            yield chunk
        return
    inflater = Inflater(coding)
    async for chunk in received(request):
        for piece in inflater.pieces(chunk):
            yield piece
            await asyncio.sleep(0)
    inflater.finish()


async def received(request: web.Request, *, min_rate: int = MIN_RATE) -> AsyncIterator[bytes]:
    """Yield the body as it was sent. Raises Invalid if it breaks off, and aiohttp's 408 if it is too slow.

    Each `min_rate` bytes allow one second more; with 0 the whole body must arrive within the patience of the server.
    """
    await permit_body(request)
    content, clock = request.content, asyncio.get_running_loop().time
    allowed = request.app.get(PATIENCE, DEFAULT_PATIENCE)
    try:
        while not content.at_eof():
            began = clock()
            async with asyncio.timeout(allowed):
                chunk = await content.readany()
            allowed += (len(chunk) / min_rate if min_rate else 0) - (clock() - began)
            if chunk:
                yield chunk
    except TimeoutError as error:
        raise web.HTTPRequestTimeout(text="The body arrives too slowly") from error
    except (web.RequestPayloadError, HttpProcessingError) as error:
        raise Invalid("The body does not match its Content-Length or Transfer-Encoding") from error


def inflated(body: bytes, coding: str, limit: int) -> bytes:
    """Return a whole body inflated. Raises TooLarge over `limit` bytes, without inflating the rest."""
    inflater, pieces, size = Inflater(coding), [], 0
    for piece in inflater.pieces(body):
        pieces.append(piece)
        size += len(piece)
        if size > limit:
            raise too_large(limit)
    inflater.finish()
    return b"".join(pieces)


async def permit_body(request: web.Request) -> None:
    """Answer `Expect: 100-continue`, once the body is wanted (RFC 9110, section 10.1.1)."""
    if request.headers.get(hdrs.EXPECT, "").lower() == "100-continue" and request.version == HttpVersion11:
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # otherwise aiohttp believes that the response has started


async def expect_later(request: web.Request) -> None:
    """An expect handler for aiohttp's router that leaves the answer to `permit_body`."""
    if request.headers.get(hdrs.EXPECT, "").lower() != "100-continue":
        raise web.HTTPExpectationFailed(text="Only 'Expect: 100-continue' is supported")
