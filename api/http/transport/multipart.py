"""Parse a multipart/form-data body part by part as it arrives (RFC 2046, section 5.1.1; RFC 7578).

Content is passed on as it arrives; only bytes that may begin a delimiter are held back. aiohttp's own reader takes
twice the processor time for a gigabyte, does not limit what surrounds a file, cuts quoted names at semicolons, and
accepts a body that ends before its declared length.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from email.message import Message
from email.utils import collapse_rfc2231_value

from api.http.transport.bodies import too_large
from domain.errors import Invalid, TooLarge

MAX_BOUNDARY = 70
"""Characters that a boundary may have (RFC 2046, section 5.1.1)."""
MAX_HEAD = 16 * 1024
"""Bytes that the headers of one part may have."""


MAX_PARTS = 1000
"""Parts that a body may have, as even an empty part takes time."""


@dataclass(frozen=True, slots=True)
class Part:
    """The head of one part; an empty string stands for a missing value."""

    name: str
    file_name: str
    content_type: str


class Multipart:
    """One body being read: alternate `next_part` and the `content` of that part; unread content is skipped.

    Raises Invalid for a body that does not follow its boundary, and TooLarge for too many parts or more than
    `max_body` bytes, including preamble, heads and skipped parts.
    """

    def __init__(self, chunks: AsyncIterator[bytes], content_type: str, max_body: int) -> None:
        self._chunks = chunks
        self._delimiter = b"\r\n--" + _boundary(content_type)
        self._max_body = max_body
        self._allowed = 0
        self._read = 0
        self._parts = 0
        self._arrived = b"\r\n"  # the line break that the first delimiter lacks when there is no preamble
        self._inside = True

    def allow(self, size: int) -> None:
        """Allow the body `size` more bytes, for content that has its own limit."""
        self._allowed += size

    async def next_part(self) -> Part | None:
        """Return the head of the next part, or None after the last one."""
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
        """Yield the rest of the current part as it arrives."""
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
        """Return the position near the end of the buffer where an incomplete delimiter may begin."""
        start = max(0, len(self._arrived) - len(self._delimiter) + 1)
        at = self._arrived.find(b"\r", start)
        return len(self._arrived) if at < 0 else at

    async def _head(self) -> list[bytes]:
        """Return the header lines. Only blanks may follow the delimiter on its own line."""
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
        """Read the epilogue up to the end of the body, to notice a body that is shorter than declared."""
        while await self._next_chunk():
            pass

    async def _more(self) -> None:
        chunk = await self._next_chunk()
        if not chunk:
            raise _malformed()
        self._arrived += chunk

    async def _next_chunk(self) -> bytes:
        """Return the next bytes; none at the end of the body."""
        if self._read > self._max_body + self._allowed:
            raise too_large(self._max_body)
        chunk = await anext(self._chunks, b"")
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
    """Return the names of the part and its file (RFC 7578, section 4.2), preferring `name*` (RFC 6266, section 4.3)."""
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
