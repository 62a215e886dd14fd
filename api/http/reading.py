"""Read untrusted bodies: limit their size, check media types, and reject JSON values that fail in later layers.

Such unsafe values pass JSON parsers but not databases and other parsers: NUL, lone surrogates, NaN, infinities,
integers beyond signed 64 bits, nesting beyond 64 levels. A body is screened as bytes in a few fast passes; only a
suspicious body is parsed a second time, to find and name the field.
A byte order mark is ignored (RFC 8259, section 8.1). Of duplicate keys the last one wins.
"""

import json
import math
import re
from collections.abc import Collection, Iterator
from typing import Any

import orjson
from aiohttp import HttpVersion11, hdrs, web
from pydantic_core import from_json

from api.http.problems import dotted
from domain.errors import FieldError, Invalid, TooLarge, UnsupportedMedia

MAX_DEPTH = 64
MAX_INTEGER = 2**63 - 1
MIN_INTEGER = -(2**63)

_BOM = b"\xef\xbb\xbf"
_CHARSET = re.compile(r"""charset\s*=\s*["']?([^\s"';]*)""", re.IGNORECASE)
_UTF8 = frozenset({"utf-8", "utf8", "us-ascii", "ascii"})


async def read_body(request: web.Request, max_body: int) -> bytes:
    """Return the whole decompressed body. Raises TooLarge over `max_body` bytes, without reading the rest."""
    length = request.content_length
    if length is not None and length > max_body:
        raise too_large(max_body)
    await permit_body(request)
    chunks, size = [], 0
    try:
        while chunk := await request.content.readany():
            chunks.append(chunk)
            size += len(chunk)
            if size > max_body:
                raise too_large(max_body)
    except web.RequestPayloadError as error:
        raise Invalid("The body does not match its Transfer-Encoding or Content-Encoding") from error
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def too_large(max_body: int) -> TooLarge:
    """Return the error for a body of more than `max_body` bytes."""
    return TooLarge(f"The body is larger than the {max_body} bytes this route accepts")


async def permit_body(request: web.Request) -> None:
    """Answer `Expect: 100-continue`, once the caller is authenticated (RFC 9110, section 10.1.1)."""
    if request.headers.get(hdrs.EXPECT, "").lower() == "100-continue" and request.version == HttpVersion11:
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # otherwise aiohttp believes that the response has started


async def expect_later(request: web.Request) -> None:
    """An expect handler for aiohttp's router that leaves the answer to `permit_body`."""
    if request.headers.get(hdrs.EXPECT, "").lower() != "100-continue":
        raise web.HTTPExpectationFailed(text="Only 'Expect: 100-continue' is supported")


def media_type(request: web.Request) -> str:
    """Return the declared media type in lower case without parameters; empty when there is none."""
    return request.headers.get(hdrs.CONTENT_TYPE, "").partition(";")[0].strip().lower()


def require_media_type(request: web.Request, accepted: Collection[str]) -> str:
    """Return the media type. Raises UnsupportedMedia when it is not accepted (`application/*+json` counts as JSON).

    Raises Invalid for a `charset` other than UTF-8 (RFC 8259, section 8.1).
    """
    declared = request.headers.get(hdrs.CONTENT_TYPE, "")
    if declared in accepted:
        return declared
    media, _, parameters = declared.partition(";")
    media = media.strip().lower()
    structured = media.startswith("application/") and media.endswith("+json") and "application/json" in accepted
    if media not in accepted and not structured:
        named = " or ".join(accepted)
        found = f"not {media[:80]}" if media else "the Content-Type is missing"
        raise UnsupportedMedia(f"Send this as {named}; {found}")
    charset = _CHARSET.search(parameters)
    if charset and not media.startswith("multipart/") and charset[1].lower() not in _UTF8:
        raise Invalid.of("Content-Type", f"charset {charset[1][:40]!r} is not supported, send UTF-8")
    return media


def clean_text(name: str, value: str) -> str:
    """Return the value of a path, query, header or form field. Raises Invalid for NUL or surrogates in it."""
    reason = _unsafe_text(value)
    if reason:
        raise Invalid.of(name, reason)
    return value


def parse_json(raw: bytes) -> Any:
    """Return a body as Python values. Raises Invalid for malformed JSON and unsafe values, naming the field."""
    return _parsed(guard(raw))


def check_json(raw: bytes) -> None:
    """Raise what `parse_json` raises, in less than half its time, for a body that is stored unread.

    orjson itself rejects NaN, infinities, lone surrogates and invalid UTF-8. A body that orjson rejects or that looks
    suspicious goes to `parse_json`, which names the field or finds that nothing is wrong.
    """
    try:
        orjson.loads(raw)
    except ValueError:
        parse_json(raw)
        return
    screened = raw.translate(_COARSE)
    if b"\\u0000" in raw or _has_long_integer(screened) or screened.count(b"[") > MAX_DEPTH:
        parse_json(raw)


def _has_long_integer(screened: bytes) -> bool:
    """Return whether a run of too many digits begins anywhere but at the start of a string.

    A string may well begin with digits: providers send 40 zeros for a commit that does not exist.
    """
    place = screened.find(_LONG_INTEGER)
    while place > 0 and screened[place - 1] == _QUOTE:
        digits = _DIGITS.match(screened, place)
        place = screened.find(_LONG_INTEGER, digits.end() if digits else place + 1)
    return place >= 0


def _parsed(text: bytes) -> Any:
    try:
        return from_json(text)
    except ValueError as error:
        message = f"Invalid JSON: {error}"
        raise Invalid(message, (FieldError("", message),)) from error


# Screening: every byte outside strings is replaced by its role in JSON.
_ROLES = bytearray(b" " * 256)
for _characters, _role in (
    (b"0123456789", b"0"),
    (b"eE", b"e"),
    (b"NI", b"n"),
    (b".-", b"."),
    (b"[{", b"["),
    (b"]}", b"]"),
):
    for _character in _characters:
        _ROLES[_character : _character + 1] = _role
_COARSE = bytes(byte if byte == ord('"') else role if role in b"0[" else ord(" ") for byte, role in enumerate(_ROLES))
"""The roles used where strings are not separated from the rest: digits, opening brackets and quotes."""
_QUOTE = ord('"')
_DIGITS = re.compile(rb"0+")
_NO_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]")
_LONG_INTEGER = b"0" * len(str(MAX_INTEGER))
_ESCAPES = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")


def guard(raw: bytes) -> bytes:
    """Return the body without its byte order mark. Raises Invalid, naming the field, for unsafe values.

    It may still be malformed JSON. Only a suspicious body is parsed here, to name the field.
    """
    text = raw.removeprefix(_BOM)
    structure = _structure(text)
    odd_number = b"n" in structure or b"e000" in structure or _LONG_INTEGER in structure
    if odd_number or b"\0" in text or (b"\\" in text and _ESCAPES.search(text)):
        _refuse_unsafe(text)
    if structure.count(b"[") > MAX_DEPTH and _is_deep(structure):
        raise Invalid.of(_deepest(_parsed(text)), f"nested more than {MAX_DEPTH} levels deep")
    return text


def _structure(text: bytes) -> bytes:
    """Return the roles of all bytes outside strings; for malformed JSON the result is meaningless."""
    if b"\\" in text and b'\\"' in text:
        text = text.replace(b"\\\\", b"").replace(b'\\"', b"")
    return b"".join(text.split(b'"')[::2]).translate(_ROLES, b"+")


def _is_deep(structure: bytes) -> bool:
    """Return whether brackets are nested too deep: each pass removes the innermost ones, so 64 passes remove all."""
    brackets = structure.translate(None, _NO_BRACKETS)
    for _ in range(MAX_DEPTH):
        brackets = brackets.replace(b"[]", b"")
        if not brackets:
            return False
    return True


def _deepest(value: Any) -> str:
    """Return the path of the first container beyond the permitted depth."""
    too_deep = (path for path, inner in _walk(value) if len(path) == MAX_DEPTH and isinstance(inner, dict | list))
    return dotted(next(too_deep, ()))


class _TooLong:
    """Stands for an integer with more digits than 64 bits can hold."""


def _refuse_unsafe(text: bytes) -> None:
    """Raise Invalid for the first unsafe value. Malformed JSON is left to the parser."""
    try:
        value = json.loads(text.decode(), parse_int=_integer, strict=False)
    except (ValueError, RecursionError):
        return
    for path, leaf in _walk(value):
        reason = _unsafe(leaf)
        if reason:
            raise Invalid.of(_shown(path), reason)


def _integer(digits: str) -> int | _TooLong:
    return int(digits) if len(digits) <= len(str(MIN_INTEGER)) else _TooLong()


def _walk(root: Any) -> Iterator[tuple[tuple[int | str, ...], Any]]:
    """Yield every key and every value with its path, in document order, down to the permitted depth."""
    pending: list[tuple[tuple[int | str, ...], Any]] = [((), root)]
    while pending:
        path, value = pending.pop()
        if len(path) == MAX_DEPTH:
            yield path, value
            continue
        if isinstance(value, dict):
            yield from ((path, key) for key in value)
            pending.extend(((*path, key), inner) for key, inner in reversed(value.items()))
        elif isinstance(value, list):
            pending.extend(((*path, place), value[place]) for place in reversed(range(len(value))))
        yield path, value


def _unsafe(value: Any) -> str | None:
    if isinstance(value, str):
        return _unsafe_text(value)
    if isinstance(value, float) and not math.isfinite(value):
        return "is not a finite number"
    if isinstance(value, _TooLong) or (isinstance(value, int) and not MIN_INTEGER <= value <= MAX_INTEGER):
        return "is an integer beyond 64 bits"
    return None


def _unsafe_text(value: str) -> str | None:
    if "\0" in value:
        return "contains a NUL character"
    if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
        return "contains text that is not valid Unicode"
    return None


def _shown(path: tuple[int | str, ...]) -> str:
    """Return a path as text, with unsafe keys escaped."""
    return dotted(
        key.encode("unicode_escape").decode() if isinstance(key, str) and _unsafe_text(key) else key for key in path
    )
