r"""Canonical JSON: the one byte form of a JSON value, which every hash in the ledger covers.

The rules, for verifiers written in other languages:

1. UTF-8, no byte order mark, no blanks between tokens, no line end.
2. `null`, `true`, `false`.
3. A number without a fractional part is written as an integer in plain decimal digits, of any size, with `-` if
   negative and never as `-0`: `1.0` and `1` are both `1`, `1e22` is `10000000000000000000000`. A number that arrived in
   floating point beyond 2^53 is written as its shortest decimal (rule 4): the double nearest to 1e23 is 1 and 23 zeros.
4. Any other number is an IEEE 754 double, written with the fewest decimal digits that read back as the same double:
   in plain notation from 0.0001 upward (`0.0001`, `-2.5`), below that as `d[.d…]e-XX` with an exponent of at least two
   digits (`1e-05`, `2.5e-300`). NaN and the infinities have no form.
5. A string is written unescaped except for `\"` `\\` `\b` `\f` `\n` `\r` `\t` and, for other characters below U+0020,
   `\u00xx` with lower-case digits. No Unicode normalisation. Lone surrogates have no form.
6. An object's members are sorted by key, by Unicode code point, and no key comes twice; an array keeps its order.
7. Values that are not JSON become strings first: UUID → lower-case text with hyphens; time →
   `YYYY-MM-DDTHH:MM:SS.ffffffZ` in UTC, always six digits; bytes → lower-case hex; an enum member → its value.

It differs from RFC 8785 (JCS) in three points. Integers beyond 2^53 keep every digit, where JCS makes them doubles.
Numbers below 0.0001 and from 1e21 upward are written as above (JCS: `0.00001`, `1e-7`, `1e+21`). Keys are sorted by
code point, where JCS sorts by UTF-16 unit; the orders differ only above U+FFFF.

Rules 3 and 4 make the form survive storage: PostgreSQL's jsonb keeps numbers as decimals, so that a float such as 1e22
comes back as an integer, 1.0 as 1.0, and -0.0 as 0. A value that was stored as JSON and read back has the same form.
"""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from math import isfinite
from typing import Any
from uuid import UUID

import orjson

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]

_EXACT = 2**53
_PLAIN = frozenset({str, int, bool, type(None)})  # need no conversion; most values are of these types
_encode = json.JSONEncoder(
    ensure_ascii=False, check_circular=False, allow_nan=False, sort_keys=True, separators=(",", ":")
).encode


def canonical_json(value: object) -> bytes:
    """Encode a value as described above. Raises ValueError for a value without a form, TypeError for such a type."""
    return _encode(normalise(value)).encode()


def canonical_json_of_stored(value: object) -> bytes:
    """Encode a stored value in the same form with orjson, several times faster.

    For columns of PostgreSQL's types and JSON documents from `normalise` or jsonb. These hold no NaN or infinity, which
    orjson would silently write as null. Values that orjson writes differently fall back to `canonical_json`.
    """
    if not written_alike(value):
        return canonical_json(value)
    try:
        return orjson.dumps(value, default=_spelled, option=_SAME)
    except TypeError:  # integers beyond 64 bits, lone surrogates, keys that are not text
        return canonical_json(value)


_SAME = orjson.OPT_SORT_KEYS | orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS
_LEAST, _MOST = 1e-4, 1e15
"""Between these, orjson and the canonical form both write fractions as the shortest decimal in plain notation."""


def written_alike(value: Any) -> bool:
    """Whether orjson surely writes every number in a value in canonical form; False in doubtful cases."""
    kind = type(value)
    if kind is float:
        return _LEAST <= abs(value) < _MOST and not value.is_integer()
    if kind is not dict and kind is not list and kind is not tuple:
        return _without_fraction(kind)
    items = value.values() if kind is dict else value
    if _whole.issuperset(map(type, items)):
        return True
    for item in items:  # noqa: SIM110 - `all` over a generator would cost a third more
        if type(item) not in _whole and not written_alike(item):
            return False
    return True


_whole: set[Any] = set(_PLAIN)
"""Types found to have no values with a fractional part."""


def _without_fraction(kind: type[Any]) -> bool:
    if kind not in _whole and issubclass(kind, str | UUID | datetime | bytes):
        _whole.add(kind)
    return kind in _whole


def _spelled(value: object) -> Json:
    return _CONVERTERS[type(value)](value)


def normalise(value: object) -> Json:
    """Convert a value to plain JSON types, with one spelling for every number, ready to be stored as jsonb.

    Takes None, bool, int, float, str, list, tuple, dict with text keys, UUID, aware datetime, bytes, and enum members
    whose value is one of these. Raises ValueError for NaN, infinities and times without a zone; TypeError for other
    types. The caller must limit the depth.
    """
    return _CONVERTERS[type(value)](value)


class _Converters(dict[type[Any], Callable[[Any], Json]]):
    """The converter of each type; that of a subclass, such as an enum or asyncpg's UUID, is found once and kept."""

    def __missing__(self, kind: type[Any]) -> Callable[[Any], Json]:
        found = _enum if issubclass(kind, Enum) else next((self[one] for one in self if issubclass(kind, one)), None)
        if found is None:
            raise TypeError(f"{kind.__name__} has no canonical form")
        self[kind] = found
        return found


def _float(value: float) -> int | float:
    if not isfinite(value):
        raise ValueError(f"{value} has no canonical form")
    if not value.is_integer():
        return float(value)
    return int(value) if -_EXACT <= value <= _EXACT else int(Decimal(float.__repr__(value)))


def _array(value: list[Any] | tuple[Any, ...]) -> Json:
    return [item if type(item) in _PLAIN else normalise(item) for item in value]


def _object(value: dict[Any, Any]) -> Json:
    return {
        key if type(key) is str else _key(key): item if type(item) in _PLAIN else _CONVERTERS[type(item)](item)
        for key, item in value.items()
    }


def _key(key: object) -> str:
    if not isinstance(key, str):
        raise TypeError(f"a key must be text, not {type(key).__name__}")
    return str.__str__(key)


@lru_cache(maxsize=256)  # all rows of one transaction carry the same time
def _time(value: datetime) -> str:
    if value.tzinfo is None:
        raise ValueError("a time without a zone has no canonical form")
    try:
        utc = value if value.tzinfo is UTC else value.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("a time outside the years 1 to 9999 has no canonical form") from error
    return utc.isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def _enum(value: Enum) -> Json:
    return normalise(value.value)


_CONVERTERS = _Converters(
    {
        type(None): lambda value: value,
        bool: bool,
        int: int,
        float: _float,
        str: str.__str__,
        list: _array,
        tuple: _array,
        dict: _object,
        UUID: str,
        datetime: _time,
        bytes: bytes.hex,
    }
)
