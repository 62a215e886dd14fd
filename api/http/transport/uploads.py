"""Read multipart (RFC 7578) and URL-encoded forms into one validated model; hash files while staging them on disk.

The declared field, not the part, decides whether a part is a file: clients put file names on plain fields and omit
them from files. Parts come in any order; unknown parts are skipped. Where a route accepts other media types as well,
a body of such a type is the form's only file.
"""

import asyncio
import hashlib
import os
import re
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine, Hashable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Any
from urllib.parse import parse_qsl

from aiohttp import hdrs, web
from pydantic import ValidationError

from api.http.arguments import Fields, put
from api.http.calls import MEBIBYTE, STAGING, Upload
from api.http.problems import invalid_input, invalid_under
from api.http.reading import clean_text, guarded
from api.http.transport.bodies import arriving, check_length, read_body, too_large
from api.http.transport.multipart import Multipart, Part
from domain.errors import Invalid
from storage.blobs.free_space import require_space, space_needed
from storage.threads import Threads

MULTIPART = "multipart/form-data"
URL_ENCODED = "application/x-www-form-urlencoded"
BINARY = "application/octet-stream"

WRITERS: web.AppKey[Threads] = web.AppKey("upload_writers", Threads)
"""The threads that hash and write files while they arrive."""
UPLOAD_THREADS = 4
"""Half of them for one organisation."""
MAX_FILE: web.AppKey[int] = web.AppKey("max_file", int)
"""Bytes that one file may have; `Route.max_body` then limits the rest of the form, otherwise the whole form."""
RESERVE: web.AppKey[int] = web.AppKey("reserve", int)
"""Bytes that uploads leave free on the disk of the staging files."""
MAX_FIELD = MEBIBYTE
"""Bytes of one field that is not a file, as it is held in memory."""
MAX_FIELDS = 1000
MAX_FILE_NAME = 255
UNNAMED = "file"
"""The name of a file that was sent without one: the name of its form part."""
_PIECE = MEBIBYTE
"""Bytes handed to the writing thread at once."""

_MEDIA_TYPE = re.compile(r"[\w!#$&^.+-]{1,127}/[\w!#$&^.+-]{1,127}(?:;[\x20-\x7e]*)?", re.ASCII)
_MAX_MEDIA_TYPE = 255


class Form:
    """One form being read for `owner`, an organisation. `discard` deletes the staged files that were not moved."""

    def __init__(self, fields: Fields, max_body: int, owner: Hashable) -> None:
        self._owner = owner
        self._fields = fields
        self._max_body = max_body
        self._staged: list[Path] = []

    async def read(self, request: web.Request, media: str) -> Any:
        """Return the validated model. Raises Invalid, or TooLarge when the body or a file exceeds its limit."""
        if media == MULTIPART:
            data = await self._multipart(request)
        elif media == URL_ENCODED:
            data = await self._url_encoded(request)
        else:
            data = await self._whole(request)
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
        check_length(request, self._max_body + request.app.get(MAX_FILE, 0))
        body = Multipart(arriving(request), request.headers[hdrs.CONTENT_TYPE], self._max_body)
        data: dict[str, Any] = {}
        while (part := await body.next_part()) is not None:
            await self._take(request, body, part, data)
        return data

    async def _take(self, request: web.Request, body: Multipart, part: Part, data: dict[str, Any]) -> None:
        name = clean_text("a part's name", part.name)
        shape = self._fields.shape(name)
        if shape is None:
            return  # `next_part` skips its content
        if shape.upload:
            upload = await self._file(request, _allowed(request, body), part, name)
            put(data, name, upload, many=shape.many)
        else:
            put(data, name, await _text(body, name, json=shape.json), many=shape.many)

    async def _whole(self, request: web.Request) -> dict[str, Any]:
        check_length(request, request.app.get(MAX_FILE, self._max_body))
        name = next(name for name, shape in self._fields.shapes.items() if shape.upload)
        part = Part(name, "", request.headers.get(hdrs.CONTENT_TYPE, ""))
        return {name: await self._file(request, arriving(request), part, name)}

    async def _file(self, request: web.Request, content: AsyncIterator[bytes], part: Part, name: str) -> Upload:
        file_name = base_name(clean_text(name, part.file_name))
        content_type = clean_text(name, part.content_type) or BINARY
        longest = request.app.get(MAX_FILE, self._max_body)
        run = partial(request.app[WRITERS].run, self._owner)
        async with _staging(request.app[STAGING], run, request.app.get(RESERVE, 0)) as staged:
            self._staged.append(staged.path)
            async for chunk in content:
                await staged.append(chunk)
                if staged.size > longest:
                    raise too_large(longest)
            sha256 = await staged.finish()
        return Upload(staged.path, sha256, staged.size, file_name, content_type)


class _Staged:
    """A staging file that a thread hashes and writes while the next piece arrives.

    It is synced to disk here, so that the transaction that moves it into the blob store need not wait for that.
    """

    def __init__(self, file: IO[bytes], run: Callable[..., Coroutine[Any, Any, None]], reserve: int) -> None:
        self._run = run
        self.path = Path(file.name)
        self.size = 0
        self._reserve = reserve
        self._file = file
        self._digest = hashlib.sha256()
        self._pieces: list[bytes] = []
        self._held = 0
        self._writing: asyncio.Task[None] | None = None

    async def append(self, piece: bytes) -> None:
        """Add a piece; wait when the disk is slower than the network."""
        self._pieces.append(piece)
        self._held += len(piece)
        self.size += len(piece)
        if self._held >= _PIECE:
            await self._hand_over()

    async def finish(self) -> str:
        """Return the SHA-256 digest in hexadecimal, once everything is on disk."""
        await self._hand_over()
        await self.settle()
        self._writing = asyncio.create_task(self._run(self._sync))
        await self.settle()
        return self._digest.hexdigest()

    async def settle(self) -> None:
        """Wait for the thread."""
        writing, self._writing = self._writing, None
        if writing is not None:
            await writing

    async def _hand_over(self) -> None:
        await self.settle()
        pieces, self._pieces, self._held = self._pieces, [], 0
        self._writing = asyncio.create_task(self._run(self._write, pieces))

    def _write(self, pieces: list[bytes]) -> None:
        require_space(self._file.fileno(), self._reserve)
        for piece in pieces:
            self._digest.update(piece)
            self._file.write(piece)

    def _sync(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())


@asynccontextmanager
async def _staging(
    directory: Path, run: Callable[..., Coroutine[Any, Any, None]], reserve: int
) -> AsyncIterator[_Staged]:
    """Open a staging file. Raises Unavailable when the disk is full, also when it is so at the end."""
    with space_needed(), tempfile.NamedTemporaryFile(dir=directory, prefix="upload-", delete=False) as file:
        staged = _Staged(file, run, reserve)
        try:
            yield staged
        finally:
            await staged.settle()


@asynccontextmanager
async def staged(
    request: web.Request, owner: Hashable, content: bytes, file_name: str, content_type: str
) -> AsyncIterator[Upload]:
    """Stage what came inside another body as if it had been uploaded; it is deleted afterwards unless it was moved."""
    run = partial(request.app[WRITERS].run, owner)
    async with _staging(request.app[STAGING], run, request.app.get(RESERVE, 0)) as file:
        try:
            await file.append(content)
            yield Upload(file.path, await file.finish(), file.size, file_name, content_type)
        finally:
            file.path.unlink(missing_ok=True)


async def _allowed(request: web.Request, body: Multipart) -> AsyncIterator[bytes]:
    """Yield the content of a file part; it does not count against `max_body` where the application sets MAX_FILE."""
    apart = MAX_FILE in request.app
    async for chunk in body.content():
        if apart:
            body.allow(len(chunk))
        yield chunk


async def _text(body: Multipart, name: str, *, json: bool) -> str:
    """Return the text of a field that is not a file. Raises TooLarge over MAX_FIELD bytes."""
    raw = bytearray()
    async for chunk in body.content():
        raw += chunk
        if len(raw) > MAX_FIELD:
            raise too_large(MAX_FIELD)
    try:
        text = (await guarded(bytes(raw)) if json else bytes(raw)).decode()
    except UnicodeDecodeError as error:
        raise Invalid.of(name, "is not UTF-8") from error
    except Invalid as error:
        raise invalid_under(name, error) from error
    return clean_text(name, text)


def base_name(file_name: str) -> str:
    """Return a file name for display, without directories: browsers and scripts send paths with either slash."""
    printable = "".join(character for character in file_name if character.isprintable())
    name = PurePosixPath(printable.replace("\\", "/")).name[:MAX_FILE_NAME]
    return "" if name == ".." else name


def known_media_type(text: str) -> str:
    """Return a media type that may be stored and sent again; that of any file in place of a malformed one."""
    return text if len(text) <= _MAX_MEDIA_TYPE and _MEDIA_TYPE.fullmatch(text) else BINARY
