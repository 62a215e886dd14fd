"""Undo the Content-Encoding of a body in bounded steps."""

import zlib
from collections.abc import Iterator

from aiohttp import hdrs, web

from domain.errors import Invalid, UnsupportedMedia

STEP = 256 * 1024
"""Bytes that one step may produce: about half a millisecond of the event loop."""
MAX_MEMBERS = 1000
"""Members that a gzip body may have (RFC 1952, section 2.2), as even an empty one takes time."""

_GZIP, _ZLIB, _RAW = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS, -zlib.MAX_WBITS
_ZLIB_METHOD = 8
_CODINGS = {"": None, "identity": None, "gzip": "gzip", "x-gzip": "gzip", "deflate": "deflate"}


def coding_of(request: web.Request) -> str | None:
    """Return `gzip` or `deflate`, or None for a body as it is. Raises UnsupportedMedia for anything else."""
    if hdrs.CONTENT_ENCODING not in request.headers:
        return None
    declared = ",".join(request.headers.getall(hdrs.CONTENT_ENCODING, ())).strip().lower()
    if declared not in _CODINGS:
        raise UnsupportedMedia(f"The Content-Encoding {declared[:40]!r} is not supported; send gzip, deflate or none")
    return _CODINGS[declared]


class Inflater:
    """One body being inflated: give it the pieces as they arrive, then `finish`. Raises Invalid for a broken body."""

    def __init__(self, coding: str) -> None:
        self._coding = coding
        self._member: zlib._Decompress | None = None
        self._members = 0

    def pieces(self, chunk: bytes) -> Iterator[bytes]:
        """Yield what a chunk of the body becomes, at most STEP bytes at a time."""
        more = False
        while chunk or more:
            if self._member is None or (self._member.eof and chunk):
                self._member = self._next_member(chunk)
            try:
                piece = self._member.decompress(chunk, STEP)
            except zlib.error as error:
                raise _broken() from error
            more = len(piece) == STEP and not self._member.eof
            chunk = self._member.unused_data if self._member.eof else self._member.unconsumed_tail
            if piece:
                yield piece

    def finish(self) -> None:
        """Check that the body is complete."""
        if self._member is not None and not self._member.eof:
            raise _broken()

    def _next_member(self, chunk: bytes) -> "zlib._Decompress":
        self._members += 1
        if self._members > (MAX_MEMBERS if self._coding == "gzip" else 1):
            raise _broken()
        if self._coding == "gzip":
            return zlib.decompressobj(_GZIP)
        # Some senders leave out the header of zlib (RFC 9110, section 8.4.1.2).
        return zlib.decompressobj(_ZLIB if chunk[0] & 0xF == _ZLIB_METHOD else _RAW)


def _broken() -> Invalid:
    return Invalid("The body does not match its Content-Encoding")
