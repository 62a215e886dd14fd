"""The canonical form: fixed examples, and that neither JSON nor jsonb can change it."""

import json
import math
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from typing import Any
from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from domain.canonical import canonical_json, canonical_json_of_stored, normalise, written_alike

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
numbers = st.one_of(
    st.integers(),
    st.integers(-(10**40), 10**40),
    st.floats(allow_nan=False, allow_infinity=False),
    st.integers(-(10**20), 10**20).map(float),
)
json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, texts),
    lambda inner: st.one_of(st.lists(inner, max_size=5), st.dictionaries(texts, inner, max_size=5)),
    max_leaves=20,
)


class Colour(Enum):
    RED = "red"


class Status(StrEnum):
    PASSED = "PASSED"


class Level(IntEnum):
    HIGH = 3


class Text(str):
    __slots__ = ()

    def __str__(self) -> str:
        return "something else"


def through_jsonb(text: str) -> str:
    """PostgreSQL's jsonb as far as it touches a document: numbers become exact decimals, keys lose their order."""

    def written(value: Any) -> str:
        if isinstance(value, Decimal):
            return format(value or abs(value), "f")
        if isinstance(value, dict):
            shortest_first = sorted(value, key=lambda key: (len(key.encode()), key))
            return "{" + ", ".join(f"{json.dumps(key)}: {written(value[key])}" for key in shortest_first) + "}"
        if isinstance(value, list):
            return "[" + ", ".join(map(written, value)) + "]"
        return json.dumps(value)

    return written(json.loads(text, parse_float=Decimal, parse_int=Decimal))


@pytest.mark.parametrize(
    ("value", "form"),
    [
        (None, "null"),
        ([True, False], "[true,false]"),
        ((1, 2), "[1,2]"),
        (1.0, "1"),
        (-0.0, "0"),
        (1e22, "10000000000000000000000"),
        (1e23, "100000000000000000000000"),
        (-1e23, "-100000000000000000000000"),
        (2.0**53, "9007199254740992"),
        (2.0**60, "1152921504606847000"),
        (2**60, "1152921504606846976"),
        (0.1, "0.1"),
        (0.0001, "0.0001"),
        (0.00001, "1e-05"),
        (-2.5e-300, "-2.5e-300"),
        (4503599627370495.5, "4503599627370495.5"),
        ("é\u2028\x7f/", '"é\u2028\x7f/"'),
        ('"\\\b\f\n\r\t\x01\x1f', r'"\"\\\b\f\n\r\t\u0001\u001f"'),
        ({"b": 1, "a": {"d": [], "c": {}}}, '{"a":{"c":{},"d":[]},"b":1}'),
        ({"\U0001f600": 1, "\uff5e": 2}, '{"\uff5e":2,"\U0001f600":1}'),
        (UUID("ABCDEF01-2345-6789-ABCD-EF0123456789"), '"abcdef01-2345-6789-abcd-ef0123456789"'),
        (datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), '"2026-01-02T03:04:05.000000Z"'),
        (datetime(2026, 1, 2, 3, 4, 5, 6, timezone(timedelta(hours=2))), '"2026-01-02T01:04:05.000006Z"'),
        (datetime(1, 1, 1, tzinfo=timezone.utc), '"0001-01-01T00:00:00.000000Z"'),  # noqa: UP017
        (b"\x00\xff", '"00ff"'),
        (Colour.RED, '"red"'),
        (Status.PASSED, '"PASSED"'),
        (Level.HIGH, "3"),
        ({Status.PASSED: Status.PASSED}, '{"PASSED":"PASSED"}'),
        ({Text("a"): Text("b")}, '{"a":"b"}'),
    ],
)
def test_examples(value: object, form: str) -> None:
    assert canonical_json(value).decode() == form
    assert canonical_json_of_stored(value).decode() == form


@pytest.mark.parametrize(
    "value",
    [
        math.nan,
        math.inf,
        [-math.inf],
        datetime(2026, 1, 2),
        datetime.min.replace(tzinfo=timezone(timedelta(hours=1))),
        "\ud800",
        [10**5000],
    ],
)
def test_values_without_a_form_are_refused(value: object) -> None:
    with pytest.raises(ValueError):
        canonical_json(value)


@pytest.mark.parametrize("value", [{1: 2}, {None: 1}, {UUID(int=1): 1}, {1, 2}, object(), Decimal(1), bytearray(b"x")])
def test_types_without_a_form_are_refused(value: object) -> None:
    with pytest.raises(TypeError):
        canonical_json(value)


@given(json_values)
@example([1e23, 2.0**60, -0.0, 1.0, 5e-324, 1.7976931348623157e308])
def test_json_does_not_change_it(value: object) -> None:
    form = canonical_json(value)
    assert canonical_json(json.loads(form)) == form
    assert canonical_json(json.loads(json.dumps(value))) == form


@given(json_values)
@example([1e23, 2.0**60, -0.0, 1.0, 5e-324, 1.7976931348623157e308])
def test_jsonb_does_not_change_it(value: object) -> None:
    form = canonical_json(value)
    assert canonical_json(json.loads(through_jsonb(form.decode()))) == form
    assert canonical_json(json.loads(through_jsonb(json.dumps(value)))) == form


@given(json_values)
def test_normalising_is_final_and_keeps_the_value(value: object) -> None:
    normal = normalise(value)
    assert normalise(normal) == normal
    assert canonical_json(normal) == canonical_json(value)


@given(json_values, json_values)
def test_different_values_have_different_forms(one: object, other: object) -> None:
    same = canonical_json(one) == canonical_json(other)
    assert same == (typed(normalise(one)) == typed(normalise(other)))


def typed(value: Any) -> Any:
    """Python holds True == 1; JSON does not."""
    if isinstance(value, list):
        return [typed(item) for item in value]
    if isinstance(value, dict):
        return {key: typed(item) for key, item in value.items()}
    return type(value).__name__, value


@given(st.dictionaries(texts, st.integers(), max_size=8))
def test_the_order_of_keys_does_not_count(value: dict[str, int]) -> None:
    assert canonical_json(dict(reversed(value.items()))) == canonical_json(value)


@given(st.datetimes(timezones=st.timezones(), min_value=datetime(1, 1, 3), max_value=datetime(9999, 12, 29)))
def test_a_time_is_the_same_instant_in_every_zone(time: datetime) -> None:
    form = normalise(time)
    assert isinstance(form, str)
    assert len(form) == len("2026-01-02T03:04:05.000000Z")
    assert normalise(time.astimezone(UTC)) == form
    assert datetime.fromisoformat(form) == time.astimezone(UTC)


@given(json_values)
@example(["x:1.5", {"a,1e5": "[2.0"}])
@example(0.5)
@example([2**63, 2**64, -(2**63) - 1])
def test_the_fast_way_is_the_same_form(value: object) -> None:
    stored = {"document": value, "id": UUID(int=7), "at": datetime(2026, 1, 2, tzinfo=UTC), "nonce": b"\x01"}
    assert canonical_json_of_stored(stored) == canonical_json(stored)
    assert canonical_json_of_stored(value) == canonical_json(value)


@pytest.mark.parametrize(
    ("value", "alike"),
    [
        ({"at": datetime(2026, 1, 2, 3, 4, 5, 600000, UTC), "id": UUID(int=7), "nonce": b"\x01", "n": 3}, True),
        (["2026-01-02T03:04:05.600000Z", Status.PASSED, 0.25, -99.9, {"none": None}], True),
        ([Level.HIGH], False),
        ([{"deep": (1.0,)}], False),
        (-0.0, False),
        (1e-5, False),
        (1.5e15, False),
        (math.nan, False),
    ],
)
def test_the_fast_way_is_taken_where_it_is_known_to_be_the_same(value: object, alike: bool) -> None:
    assert written_alike(value) is alike


@pytest.mark.parametrize("value", [datetime(2026, 1, 2), "\ud800", [10**5000], {1: 2}, {1, 2}, object(), Decimal(1)])
def test_the_fast_way_refuses_what_has_no_form(value: object) -> None:
    with pytest.raises((ValueError, TypeError)):
        canonical_json_of_stored(value)
