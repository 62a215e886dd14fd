"""Safe parsing of untrusted JSON files, with limits on size, depth and the number of values."""

import codecs
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from integrations.formats.parsed import Deadline, Unreadable, require_size

MAX_BYTES = 64 * 2**20
MAX_VALUES = 5_000_000
"""A byte of JSON can take fifty bytes of memory, so the number of values is limited as well."""

_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_json(path: Path, deadline: Deadline) -> Any:
    """Parse the document in the file. Raises Unreadable."""
    document = parse_json(read_utf8(path))
    deadline.check()
    return document


def read_utf8(path: Path) -> bytes:
    """Read a file as UTF-8 without a byte order mark. Raises Unreadable."""
    require_size(path, MAX_BYTES)
    return as_utf8(path.read_bytes())


def as_utf8(raw: bytes) -> bytes:
    """Return a text as UTF-8 without a byte order mark, also from UTF-16 (PowerShell's `>`). Raises Unreadable."""
    if not raw.startswith(_UTF_16):
        return raw.removeprefix(codecs.BOM_UTF8)
    try:
        return raw.decode("utf-16").encode()
    except ValueError:
        raise Unreadable("The file begins as UTF-16 but is not valid UTF-16") from None


def parse_json(text: bytes) -> Any:
    """Parse a document. Raises Unreadable.

    orjson refuses NaN, infinities, lone surrogates and more than 1,024 levels. The last of several equal keys wins.
    """
    if sum(map(text.count, (b",", b"[", b"{"))) > MAX_VALUES:
        raise Unreadable(f"The file contains more than {MAX_VALUES:,} values")
    try:
        return orjson.loads(text)
    except ValueError as error:
        raise Unreadable(f"The file is not JSON: {error}") from None


def as_object(value: Any) -> Mapping[str, Any]:
    """Return the value if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def as_array(value: Any) -> list[Any]:
    """Return the value if it is an array, else an empty one."""
    return value if isinstance(value, list) else []


def as_text(value: Any) -> str:
    """Return the value if it is a string, else an empty one."""
    return value if isinstance(value, str) else ""
