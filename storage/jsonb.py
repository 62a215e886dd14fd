"""The codec of jsonb values in PostgreSQL's binary format."""

import json
from typing import Any

import orjson

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode
_VERSION = b"\x01"
"""The version byte before the text of a jsonb value in PostgreSQL's binary format."""


def write_jsonb(value: Any) -> bytes:
    """Return a value as PostgreSQL receives it."""
    try:
        return _VERSION + orjson.dumps(value)
    except TypeError:  # integers beyond 64 bits: PostgreSQL accepts them, orjson does not
        return _VERSION + _encode(value).encode()


def read_jsonb(stored: bytes) -> Any:
    """Return a value that PostgreSQL sent."""
    return json.loads(stored[1:].decode())  # not orjson: PostgreSQL's numbers have any size
