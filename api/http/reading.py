"""Check what untrusted requests say: media types, and JSON values that fail in later layers.

Such unsafe values pass JSON parsers but not databases and other parsers: NUL, lone surrogates, NaN, infinities,
integers beyond signed 64 bits, nesting beyond 64 levels. A body is screened as bytes in a few fast passes; only a
suspicious body is parsed a second time, to find and name the field.
A byte order mark is ignored (RFC 8259, section 8.1). Of duplicate keys the last one wins.
"""

import json
import math
import re
from collections.abc import Callable, Collection, Iterable
from typing import Any

from aiohttp import hdrs, web
from pydantic_core import from_json

from api.http.problems import dotted
from domain.errors import FieldError, Invalid, UnsupportedMedia
from domain.json_text import readable, without_mark
from storage.threads import in_thread_if

MAX_ON_LOOP = 256 * 1024
"""Bytes of the largest body that is screened on the event loop; larger ones are screened in a thread."""
MAX_DEPTH = 64
MAX_INTEGER = 2**63 - 1
MIN_INTEGER = -(2**63)

_CHARSET = re.compile(r"""charset\s*=\s*["']?([^\s"';]*)""", re.IGNORECASE)
_UTF8 = frozenset({"utf-8", "utf8", "us-ascii", "ascii"})


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
    """Raise Invalid for a delivery that its sender's parser could not read: malformed, or nested beyond 200 levels.

    Values that other layers refuse are no reason to lose the delivery: it is stored as bytes, and its sender's models
    check the few fields that are stored as anything else.
    """
    _parsed(readable(raw), allow_inf_nan=False)


def _parsed(text: bytes, *, allow_inf_nan: bool = True) -> Any:
    try:
        return from_json(text, allow_inf_nan=allow_inf_nan)
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
_NO_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]")
_LONG_INTEGER = b"0" * len(str(MAX_INTEGER))
_ESCAPES = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")
_PIECE = 64 * 1024
"""Bytes of which the strings are cut out at once: each quote costs a piece of text in memory meanwhile."""


async def guarded(raw: bytes) -> bytes:
    """Do what `guard` does; for a large body in a thread."""
    return await in_thread_if(len(raw) > MAX_ON_LOOP, guard, raw)


def guard(raw: bytes) -> bytes:
    """Return the body without its byte order mark. Raises Invalid, naming the field, for unsafe values.

    It may still be malformed JSON. Only a suspicious body is parsed here, to name the field.
    """
    text = without_mark(raw)
    structure = _structure(text)
    odd_number = b"n" in structure or b"e000" in structure or _LONG_INTEGER in structure
    odd_text = b"\0" in text or (b"\\" in text and _ESCAPES.search(text) is not None)
    deep = structure.count(b"[") > MAX_DEPTH and _is_deep(structure)
    if odd_number or odd_text or deep:
        _refuse_unsafe(text, _integer if _LONG_INTEGER in structure else None)
    if deep:
        _parsed(text)  # raises Invalid: it is malformed, or deeper than any parser goes
    return text


def _structure(text: bytes) -> bytes:
    """Return the roles of all bytes outside strings; for malformed JSON the result is meaningless."""
    if b"\\" in text and b'\\"' in text:
        text = text.replace(b"\\\\", b"").replace(b'\\"', b"")
    outside, quoted = [], False
    for start in range(0, len(text), _PIECE):
        parts = text[start : start + _PIECE].split(b'"')
        outside.append(b"".join(parts[quoted::2]))
        quoted ^= len(parts) % 2 == 0
    return b"".join(outside).translate(_ROLES, b"+")


def _is_deep(structure: bytes) -> bool:
    """Return whether brackets are nested too deep: each pass removes the innermost ones, so 64 passes remove all."""
    brackets = structure.translate(None, _NO_BRACKETS)
    for _ in range(MAX_DEPTH):
        brackets = brackets.replace(b"[]", b"")
        if not brackets:
            return False
    return True


class _TooLong:
    """Stands for an integer with more digits than 64 bits can hold."""


def _refuse_unsafe(text: bytes, parse_int: Callable[[str], Any] | None) -> None:
    """Raise Invalid for the first unsafe value. Malformed JSON is left to the parser."""
    try:
        root = json.loads(text.decode(), parse_int=parse_int, strict=False)
    except (ValueError, RecursionError):
        return
    found = _first_unsafe(root, 0)
    if found:
        path, reason = found
        raise Invalid.of(_shown(path), reason)


def _integer(digits: str) -> int | _TooLong:
    if len(digits) > len(str(MIN_INTEGER)):
        return _TooLong()
    value = int(digits)
    return value if MIN_INTEGER <= value <= MAX_INTEGER else _TooLong()


def _first_unsafe(value: Any, depth: int) -> tuple[tuple[int | str, ...], str] | None:
    """Return the path of the first unsafe value or key inside a value, and the reason.

    The path is put together on the way back: one for each of a million values would cost seconds and gigabytes.
    """
    reason = _unsafe(value, depth)
    if reason:
        return (), reason
    for place, member in _members(value):
        if type(member) not in _SAFE and (found := _first_unsafe(member, depth + 1)):
            return (place, *found[0]), found[1]
    return None


def _members(value: Any) -> Iterable[tuple[int | str, Any]]:
    if isinstance(value, dict):
        return value.items()
    return enumerate(value) if isinstance(value, list) else ()


_SAFE = frozenset({int, bool, type(None)})


def _unsafe(value: Any, depth: int) -> str | None:
    if isinstance(value, str):
        return _unsafe_text(value)
    if isinstance(value, float):
        return None if math.isfinite(value) else "is not a finite number"
    if isinstance(value, _TooLong):
        return "is an integer beyond 64 bits"
    if depth == MAX_DEPTH:
        return f"nested more than {MAX_DEPTH} levels deep"
    return next(filter(None, map(_unsafe_text, value)), None) if isinstance(value, dict) else None


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
