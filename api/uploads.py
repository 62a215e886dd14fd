"""Forms: multipart and URL-encoded bodies as one validated model, files streamed to staging while being hashed.

The declared field decides whether a part is a file, not the part: clients put file names on fields and leave them off
files. Parts come in any order; unknown parts are skipped. RFC 7578.
"""

import asyncio
import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast
from urllib.parse import parse_qsl

from aiohttp import BodyPartReader, MultipartReader, StreamReader, web
from aiohttp.http_exceptions import HttpProcessingError
from pydantic import ValidationError

from api.calls import MEBIBYTE, STAGING, Upload
from api.problems import invalid_input, invalid_under
from api.reading import clean_text, guard, permit_body, read_body, too_large
from api.signatures import Fields, put
from domain.errors import Invalid

MULTIPART = "multipart/form-data"
URL_ENCODED = "application/x-www-form-urlencoded"

MAX_FIELD = MEBIBYTE
"""Bytes of one field that is no file: it is held in memory."""
MAX_FIELDS = 1000
_CHUNK = 64 * 1024
_FLUSH = MEBIBYTE
_MAX_FILE_NAME = 255


class Form:
    """One form being read. Whatever it staged and nobody renamed is gone after `discard`."""

    def __init__(self, fields: Fields, max_body: int) -> None:
        self._fields = fields
        self._max_body = max_body
        self._staged: list[Path] = []

    async def read(self, request: web.Request, media: str) -> Any:
        """The validated model. Raises `Invalid`, or `TooLarge` when the whole body exceeds its cap in bytes."""
        data = await (self._multipart(request) if media == MULTIPART else self._url_encoded(request))
        try:
            return self._fields.adapter.validate_python(data)
        except ValidationError as error:
            raise invalid_input(error) from error

    def discard(self) -> None:
        """Delete the staging files that are still there."""
        for path in self._staged:
            path.unlink(missing_ok=True)

    async def _url_encoded(self, request: web.Request) -> dict[str, Any]:
        raw = await read_body(request, self._max_body)
        try:
            pairs = parse_qsl(raw.decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="strict")
        except ValueError as error:
            raise Invalid(f"Malformed form: {error}") from error
        return self._fields.gather(pairs)

    async def _multipart(self, request: web.Request) -> dict[str, Any]:
        if (request.content_length or 0) > self._max_body:
            raise too_large(self._max_body)
        await permit_body(request)
        data: dict[str, Any] = {}
        with _malformed():
            content = _BoundedStream(request.content, self._max_body)
            reader = MultipartReader(request.headers, cast(StreamReader, content))
        while (part := await self._next_part(reader)) is not None:
            await self._take(request.app[STAGING], part, data)
        return data

    async def _next_part(self, reader: MultipartReader) -> BodyPartReader | None:
        with _malformed():
            part = await reader.next()  # skips the rest of the part before
        if isinstance(part, MultipartReader):
            raise Invalid("Malformed form: a part is itself multipart")
        return part

    async def _take(self, staging: Path, part: BodyPartReader, data: dict[str, Any]) -> None:
        with _malformed():
            name = clean_text("a part's name", part.name or "")
        shape = self._fields.shape(name)
        if shape is None:
            return  # the reader skips it on its way to the next part
        if shape.upload:
            put(data, name, await self._file(staging, part, name), many=shape.many)
        else:
            put(data, name, await _text(part, name, json=shape.json), many=shape.many)

    async def _file(self, directory: Path, part: BodyPartReader, name: str) -> Upload:
        file_name = _base_name(clean_text(name, part.filename or ""))
        content_type = clean_text(name, part.headers.get("Content-Type", "application/octet-stream"))
        with tempfile.NamedTemporaryFile(dir=directory, prefix="upload-", delete=False) as file:
            path = Path(file.name)
            self._staged.append(path)
            staging, pending = _HashedFile(file), bytearray()
            while chunk := await _chunk(part):
                pending += chunk
                if len(pending) >= _FLUSH:
                    await asyncio.to_thread(staging.append, bytes(pending))
                    pending.clear()
            await asyncio.to_thread(staging.append, bytes(pending))
        return Upload(path, staging.digest.hexdigest(), staging.size, file_name, content_type)


class _HashedFile:
    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.digest = hashlib.sha256()
        self.size = 0

    def append(self, data: bytes) -> None:
        self.digest.update(data)
        self._file.write(data)
        self.size += len(data)


class _BoundedStream:
    """The part of `StreamReader` that the multipart reader uses; stops once more than the cap has arrived.

    It counts what came over the wire, so that a preamble, part headers and skipped parts count as well.
    """

    def __init__(self, content: StreamReader, max_body: int) -> None:
        self._content = content
        self._max_body = max_body
        self._unread = b""  # kept here: `StreamReader.unread_data` warns that it is deprecated

    def at_eof(self) -> bool:
        return not self._unread and self._content.at_eof()

    def unread_data(self, data: bytes) -> None:
        self._unread = data + self._unread

    async def read(self, size: int) -> bytes:
        self._check()
        if not self._unread:
            return await self._content.read(size)
        chunk, self._unread = self._unread[:size], self._unread[size:]
        return chunk

    async def readline(self, *, max_line_length: int | None = None) -> bytes:
        self._check()
        line, newline, self._unread = self._unread.partition(b"\n")
        if newline:
            return line + newline
        return line + await self._content.readline(max_line_length=max_line_length)

    def _check(self) -> None:
        if self._content.total_bytes > self._max_body:
            raise too_large(self._max_body)


async def _text(part: BodyPartReader, name: str, *, json: bool) -> str:
    """A field that is no file, held in memory up to its own cap."""
    raw = bytearray()
    while chunk := await _chunk(part):
        raw += chunk
        if len(raw) > MAX_FIELD:
            raise too_large(MAX_FIELD)
    try:
        text = (guard(bytes(raw)) if json else bytes(raw)).decode()
    except UnicodeDecodeError as error:
        raise Invalid.of(name, "is not UTF-8") from error
    except Invalid as error:
        raise invalid_under(name, error) from error
    return clean_text(name, text)


async def _chunk(part: BodyPartReader) -> bytes:
    with _malformed():
        return await part.read_chunk(_CHUNK)


@contextmanager
def _malformed() -> Iterator[None]:
    """What aiohttp's multipart reader raises for a broken body, as `Invalid`."""
    try:
        yield
    except (ValueError, AssertionError, RuntimeError, HttpProcessingError, web.RequestPayloadError) as error:
        raise Invalid("Malformed form: the multipart body does not follow its boundary") from error


def _base_name(file_name: str) -> str:
    """The name without directories of either kind of slash; browsers and scripts send whole paths."""
    printable = "".join(character for character in file_name if character.isprintable())
    name = PurePosixPath(printable.replace("\\", "/")).name[:_MAX_FILE_NAME]
    return "" if name == ".." else name
