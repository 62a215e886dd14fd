"""Download stored content: file names, ranges, conditional requests, and a hash check while the content is sent.

aiohttp's FileResponse also serves ranges, but hands the file to the kernel, so that altered bytes would go unnoticed.
"""

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from http import HTTPMethod, HTTPStatus
from urllib.parse import quote

import structlog
from aiohttp import hdrs, web

from api.http.transport.uploads import BINARY
from domain.errors import Conflict
from storage.blobs.store import Blob, BlobStore

log = structlog.get_logger()

SAFE_TYPES = frozenset({"application/json", "application/zip", "image/jpeg", "image/png", "text/csv", "text/plain"})
"""Media types sent as recorded, as no browser executes them; all others become `application/octet-stream`."""

_RANGE = re.compile(r"bytes=(?:([0-9]{1,30})-([0-9]{1,30})?|-([0-9]{1,30}))", re.IGNORECASE | re.ASCII)

Given = Callable[[str | None], Awaitable[None]]
"""Called before the first byte is sent, with the Content-Range of a partial download or None."""


@dataclass(frozen=True, slots=True)
class Download:
    """The recorded properties of the content: `digest` is `sha256:` and 64 hexadecimal digits, `size` is in bytes."""

    digest: str
    size: int
    name: str
    media_type: str

    @property
    def etag(self) -> str:
        """The strong validator: content with this digest never changes (RFC 9110, section 8.8.3)."""
        return f'"{self.digest}"'


@dataclass(frozen=True, slots=True)
class _Span:
    """The bytes from `start` up to, not including, `stop` of `size`."""

    start: int
    stop: int
    size: int

    @property
    def content_range(self) -> str | None:
        """The Content-Range header of a part; None for the whole content."""
        if (self.start, self.stop) == (0, self.size):
            return None
        return f"bytes {self.start}-{self.stop - 1}/{self.size}"


async def send(request: web.Request, blobs: BlobStore, download: Download, given: Given) -> web.StreamResponse:
    """Answer GET or HEAD with the content, whole or the one requested range (RFC 9110, section 14).

    A whole file is hashed while it is sent. The last chunk is held back until the hash matches; if it does not, the
    connection is closed, so that nobody mistakes altered content for the evidence. Content of one chunk is checked
    before the response starts. A range cannot be checked; `verify` checks the whole content. Raises Conflict for
    content that is missing, altered or of another size than recorded.
    """
    if _not_modified(request, download):
        return web.Response(status=HTTPStatus.NOT_MODIFIED, headers=_validators(download))
    span = _requested_span(request, download)
    if span is None:
        headers = {hdrs.CONTENT_RANGE: f"bytes */{download.size}"}
        message = f"The range is outside the content, which has {download.size} bytes"
        raise web.HTTPRequestRangeNotSatisfiable(headers=headers, text=message)
    try:
        async with blobs.opened(download.digest) as blob:
            return await _stream(request, blob, download, span, given)
    except Conflict as error:
        log.error("evidence.tampered", digest=download.digest, reason=error.message)  # noqa: TRY400 - it says all
        raise


async def _stream(
    request: web.Request, blob: Blob, download: Download, span: _Span, given: Given
) -> web.StreamResponse:
    if blob.size != download.size:
        raise Conflict(
            f"Integrity error: {download.digest} has {blob.size} bytes in the store, not {download.size}.", "state"
        )
    response = web.StreamResponse(
        status=HTTPStatus.PARTIAL_CONTENT if span.content_range else HTTPStatus.OK, headers=_headers(download)
    )
    if span.content_range:
        response.headers[hdrs.CONTENT_RANGE] = span.content_range
    response.content_length = span.stop - span.start
    if request.method == HTTPMethod.HEAD:
        await response.prepare(request)
        return response
    chunks = blob.chunks(span.start, span.stop) if span.content_range else blob.checked_chunks(download.digest)
    return await _send_chunks(request, response, chunks, given)


async def _send_chunks(
    request: web.Request, response: web.StreamResponse, chunks: AsyncIterator[bytes], given: Given
) -> web.StreamResponse:
    """Send the chunks. The first is read before the response starts, so that its errors still get a status."""
    chunk = await anext(chunks)
    await given(response.headers.get(hdrs.CONTENT_RANGE))
    await response.prepare(request)
    await response.write(chunk)
    async for chunk in chunks:
        await response.write(chunk)
    await response.write_eof()
    return response


def content_disposition(name: str) -> str:
    """Return `attachment` with the file name, as safe ASCII and in full (RFC 6266, RFC 8187)."""
    plain = "".join(one if one.isascii() and one.isprintable() and one not in '"\\%' else "_" for one in name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


def _headers(download: Download) -> dict[str, str]:
    media = download.media_type.partition(";")[0].strip().lower()
    return {
        hdrs.CONTENT_TYPE: media if media in SAFE_TYPES else BINARY,
        hdrs.CONTENT_DISPOSITION: content_disposition(download.name),
        hdrs.ACCEPT_RANGES: "bytes",
        "Content-Security-Policy": "sandbox",
        "X-Content-Type-Options": "nosniff",
        **_validators(download),
    }


def _validators(download: Download) -> dict[str, str]:
    return {hdrs.ETAG: download.etag, hdrs.CACHE_CONTROL: "private, no-cache"}


def _not_modified(request: web.Request, download: Download) -> bool:
    """Return whether `If-None-Match` shows that the client has this content (RFC 9110, section 13.1.2)."""
    return any(tag.value in ("*", download.digest) for tag in request.if_none_match or ())


def _requested_span(request: web.Request, download: Download) -> _Span | None:
    """Return the requested range, or None when it begins after the end of the content.

    Without a usable range (none, several, or `If-Range` naming other content) that is the whole content.
    """
    size = download.size
    found = _RANGE.fullmatch(request.headers.get(hdrs.RANGE, "").replace(" ", ""))
    if found is None or request.headers.get(hdrs.IF_RANGE, download.etag) != download.etag:
        return _Span(0, size, size)
    first, last, suffix = (None if digits is None else int(digits) for digits in found.groups())
    if suffix is not None:
        return _Span(max(0, size - suffix), size, size) if suffix else None
    start, end = first or 0, size - 1 if last is None else min(last, size - 1)
    if last is not None and last < start:
        return _Span(0, size, size)
    return _Span(start, end + 1, size) if start < size else None
