"""A multipart/form-data body, part by part as it arrives (RFC 2046, section 5.1.1; RFC 7578).

Content is passed on as the socket gave it; only what may begin a delimiter waits for more. aiohttp's own reader takes
twice the processor time for a gigabyte, has no caps on what surrounds a file, cuts quoted names at their semicolons,
and takes a body for whole that ends before its promised length.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from email.message import Message
from email.utils import collapse_rfc2231_value

from aiohttp import StreamReader, web
from aiohttp.http_exceptions import HttpProcessingError

from api.http.reading import too_large
from domain.errors import Invalid, TooLarge

MAX_BOUNDARY = 70
"""Characters that a boundary may have (RFC 2046, section 5.1.1)."""
MAX_HEAD = 16 * 1024
"""Bytes that the headers of one part may have."""


MAX_PARTS = 1000
"""Parts that a body may have: each costs, however small it is."""


@dataclass(frozen=True, slots=True)
class Part:
    """The head of one part; empty texts for what it does not say."""

    name: str
    file_name: str
    content_type: str


class Multipart:
    """One body being read: `next_part`, the `content` of that part, and so on; what nobody reads is skipped.

    Raises `Invalid` for a body that does not follow its boundary, and `TooLarge` for too many parts and once more than
    `max_body` bytes have come over the wire: preamble, heads and skipped parts count as well.
    """

    def __init__(self, stream: StreamReader, content_type: str, max_body: int) -> None:
        self._stream = stream
        self._delimiter = b"\r\n--" + _boundary(content_type)
        self._max_body = max_body
        self._allowed = 0
        self._read = 0
        self._parts = 0
        self._arrived = b"\r\n"  # what the first delimiter lacks when there is no preamble
        self._inside = True

    def allow(self, size: int) -> None:
        """Let the body be so many bytes longer: for content that has a cap of its own."""
        self._allowed += size

    async def next_part(self) -> Part | None:
        """The head of the next part; None behind the last one."""
        async for _ in self.content():
            pass
        self._arrived = self._arrived[len(self._delimiter) :]
        while len(self._arrived) < len(b"--"):
            await self._more()
        if self._arrived.startswith(b"--"):
            await self._end()
            return None
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise TooLarge(f"The form has more than {MAX_PARTS} parts")
        head = await self._head()
        self._inside = True
        return _part(head)

    async def content(self) -> AsyncIterator[bytes]:
        """What is left of the current part, as it arrives."""
        while self._inside:
            at = self._arrived.find(self._delimiter)
            self._inside = at < 0
            if self._inside:
                at = self._undecided()
            piece, self._arrived = self._arrived[:at], self._arrived[at:]
            if piece:
                yield piece
            if self._inside:
                await self._more()

    def _undecided(self) -> int:
        """Where, near the end of what has arrived, a delimiter may begin."""
        start = max(0, len(self._arrived) - len(self._delimiter) + 1)
        at = self._arrived.find(b"\r", start)
        return len(self._arrived) if at < 0 else at

    async def _head(self) -> list[bytes]:
        """The header lines. Before them stands the rest of the delimiter's own line: blanks at most."""
        while (at := self._arrived.find(b"\r\n\r\n")) < 0:
            if len(self._arrived) > MAX_HEAD:
                raise _malformed()
            await self._more()
        padding, *lines = self._arrived[:at].split(b"\r\n")
        if padding.strip(b" \t"):
            raise _malformed()
        self._arrived = self._arrived[at + len(b"\r\n\r\n") :]
        return lines

    async def _end(self) -> None:
        """Read the epilogue, for the end of the body: one that is shorter than it promised was broken off."""
        while await self._next_chunk():
            pass

    async def _more(self) -> None:
        chunk = await self._next_chunk()
        if not chunk:
            raise _malformed()
        self._arrived += chunk

    async def _next_chunk(self) -> bytes:
        """What arrives next; nothing at the end of the body."""
        if self._read > self._max_body + self._allowed:
            raise too_large(self._max_body)
        try:
            chunk = await self._stream.readany()
        except (HttpProcessingError, web.RequestPayloadError) as error:
            raise _malformed() from error
        self._read += len(chunk)
        return chunk


def _boundary(content_type: str) -> bytes:
    message = Message()
    message["Content-Type"] = content_type
    boundary = message.get_boundary() or ""
    if not 0 < len(boundary) <= MAX_BOUNDARY or not boundary.isascii():
        raise _malformed()
    return boundary.encode()


def _part(lines: list[bytes]) -> Part:
    headers: dict[str, str] = {}
    for line in lines:
        key, colon, value = line.partition(b":")
        if not colon:
            raise _malformed()
        headers.setdefault(_text(key).lower(), _text(value))
    return Part(*_named(headers.get("content-disposition", "")), headers.get("content-type", ""))


def _named(disposition: str) -> tuple[str, str]:
    """The names of the part and of its file (RFC 7578, section 4.2); the extended form counts first (RFC 6266, 4.3)."""
    message = Message()
    message["Content-Disposition"] = disposition
    named: dict[str, str] = {}
    try:
        for key, value in message.get_params([], "Content-Disposition"):
            if isinstance(value, tuple):
                named[key.lower()] = collapse_rfc2231_value(value)
            else:
                named.setdefault(key.lower(), value)
    except ValueError as error:
        raise _malformed() from error
    return named.get("name", ""), named.get("filename", "")


def _text(raw: bytes) -> str:
    try:
        return raw.decode().strip()
    except UnicodeDecodeError as error:
        raise Invalid("Malformed form: the headers of a part are not UTF-8") from error


def _malformed() -> Invalid:
    return Invalid("Malformed form: the multipart body does not follow its boundary")
