import json
import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.http.reading import MAX_DEPTH, check_json, guard, parse_json
from domain.errors import Invalid


def refusal(raw: bytes) -> Invalid:
    with pytest.raises(Invalid) as by_parse:
        parse_json(raw)
    with pytest.raises(Invalid) as by_guard:
        guard(raw)
    assert by_parse.value.message == by_guard.value.message
    return by_parse.value


@pytest.mark.parametrize(
    ("raw", "field", "reason"),
    [
        (rb'{"a": {"b": "x\u0000y"}}', "a.b", "NUL"),
        (b'{"a": ["x", "y\0z"]}', "a.1", "NUL"),
        (rb'{"a": [{"b": "\ud800"}]}', "a.0.b", "Unicode"),
        (rb'{"a": "\uDfFf"}', "a", "Unicode"),
        (rb'{"a": "\udc00\ud800"}', "a", "Unicode"),
        (b'{"a": NaN}', "a", "finite"),
        (b'{"a":-Infinity}', "a", "finite"),
        (b'{"a":{"b":[1,2,Infinity]}}', "a.b.2", "finite"),
        (b'{"a": 1e999}', "a", "finite"),
        (b'{"a": -1.5E+999}', "a", "finite"),
        (b'{"a": [1.7e+308, 1.8e308]}', "a.1", "finite"),
        (b'{"a": 0.1e1000}', "a", "finite"),
        (b'{"a": ' + b"1" * 400 + b".0}", "a", "finite"),
        (b'{"a": 9223372036854775808}', "a", "64 bits"),
        (b'{"a": -9223372036854775809}', "a", "64 bits"),
        (b'{"a":\t18446744073709551615}', "a", "64 bits"),
        (b'{"a": ' + b"1" * 5000 + b"}", "a", "64 bits"),
        (b'[1,{"b":12345678901234567890}]', "1.b", "64 bits"),
        (b'{"a": {"k\\u0000": 1}}', "a", "NUL"),
        (b"1e999", "", "finite"),
        (b"NaN", "", "finite"),
        (b"99999999999999999999", "", "64 bits"),
    ],
)
def test_poison_is_refused_and_named(raw: bytes, field: str, reason: str) -> None:
    error = refusal(raw)
    assert [one.field for one in error.details] == [field]
    assert reason in error.details[0].message


@pytest.mark.parametrize(
    "value",
    [
        {"a": 9223372036854775807, "b": -9223372036854775808},
        {"at": [1700000000123456789, 1700000000123456789]},
        {"a": 1.7e308, "b": 1e-999, "c": 0.30000000000000004, "d": 1e15},
        {"message": "NaN, Infinity, 1e999, 99999999999999999999 and more"},
        {"sha": "8e123456789012345678901234567890e9990000", "n": "12345678901234567890"},
        {"é": "ü \U0001f600", "escaped": "\\u0000 and \\ud800"},
        [],
        "text",
        None,
        7,
    ],
)
def test_clean_values_pass_unchanged(value: object) -> None:
    for raw in (json.dumps(value).encode(), json.dumps(value, ensure_ascii=False).encode()):
        assert parse_json(raw) == value
        assert guard(raw) == raw


def test_escaped_surrogate_pairs_are_text() -> None:
    assert parse_json(rb'{"a": "\ud83d\ude00"}') == {"a": "\U0001f600"}
    assert guard(rb'{"a": "\ud83d\ude00"}') == rb'{"a": "\ud83d\ude00"}'


def test_a_byte_order_mark_is_tolerated() -> None:
    assert parse_json(b'\xef\xbb\xbf{"a": 1}') == {"a": 1}
    assert guard(b'\xef\xbb\xbf{"a": 1}') == b'{"a": 1}'


def nested(depth: int, opening: str = "[", closing: str = "]") -> bytes:
    return (opening * depth + closing * depth).encode()


def test_depth_is_bounded_exactly() -> None:
    assert parse_json(nested(MAX_DEPTH))
    guard(nested(MAX_DEPTH))
    error = refusal(nested(MAX_DEPTH + 1))
    assert f"more than {MAX_DEPTH}" in error.message
    assert error.details[0].field == ".".join("0" * 10)


def test_depth_counts_containers_not_brackets() -> None:
    wide = json.dumps({"a": [{"b": []}] * 1000, "c": "[" * 1000}).encode()
    assert parse_json(wide)["c"] == "[" * 1000
    deep = b'{"a": "]]]]]]]]]]}}}}}}}}}}", "b": ' + nested(MAX_DEPTH) + b"}"
    assert refusal(deep).details[0].field.startswith("b.0.0")


@pytest.mark.parametrize("depth", [500, 100_000])
def test_absurd_depth_is_an_ordinary_refusal(depth: int) -> None:
    assert "recursion" in refusal(nested(depth)).message
    with pytest.raises(Invalid):
        parse_json(b'{"x": NaN, "a": ' + nested(depth) + b"}")


@pytest.mark.parametrize("raw", [b"", b"{", b'{"a": 1,}', b"{'a': 1}", b'{"a": "\xff"}', b"[1] x", b'{"a": 01}'])
def test_malformed_json_says_where(raw: bytes) -> None:
    with pytest.raises(Invalid, match=r"Invalid JSON.*line 1 column") as refused:
        parse_json(raw)
    assert [one.field for one in refused.value.details] == [""]


def test_the_last_of_duplicate_keys_wins() -> None:
    assert parse_json(b'{"a": 1, "a": 2}') == {"a": 2}


def test_poisoned_keys_are_shown_printable() -> None:
    error = refusal(rb'{"k\ud800": {"b": NaN}}')
    error.details[0].field.encode()
    assert refusal(rb'{"a": {"k\u0000": {"b": 1e999}}}').message.isprintable()


def test_screening_a_push_body_costs_no_more_than_a_few_parses_of_it() -> None:
    """Against `json.loads` of the same body, because a clock measures the machine; a walk in Python costs 20."""
    commit = {"id": "8e12e345" * 5, "message": "fix: No more\nNaN", "added": ["a/b.py"] * 5, "url": "https://x/y" * 3}
    raw = json.dumps({"commits": [commit] * 32, "size": 12, "at": 1700000000}).encode()
    assert 5000 < len(raw) < 8000
    assert cheapest(lambda: guard(raw)) < 5 * cheapest(lambda: json.loads(raw))


def cheapest(act: Callable[[], object]) -> float:
    """The least processor time of ten rounds, in seconds."""
    rounds = []
    for _ in range(10):
        started = time.process_time()
        for _ in range(20):
            act()
        rounds.append(time.process_time() - started)
    return min(rounds)


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12) | st.sampled_from(
    [
        '"',
        "\\",
        '\\"',
        "\\\\",
        "[[[",
        "]]]",
        "{",
        "}",
        "NaN",
        "1e999",
        "99999999999999999999",
        "0" * 40,
        "\\u0000",
        ": -Infinity,",
    ]
)
NUMBER = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
LEAF = st.none() | st.booleans() | NUMBER | TEXT
VALUE = st.recursive(LEAF, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4))
POISON = st.sampled_from(
    [b"NaN", b"-Infinity", b"1e999", b"-2E+400", b"9223372036854775808", b"-1" + b"0" * 30, b'"\\u0000"', b'"a\\ud83d"']
)


@given(VALUE, st.booleans())
def test_whatever_is_clean_passes_unchanged(value: object, escaped: bool) -> None:
    raw = json.dumps(value, ensure_ascii=escaped).encode()
    assert guard(raw) == raw
    assert parse_json(raw) == value


@given(VALUE, TEXT, POISON, VALUE)
def test_poison_is_found_wherever_it_stands(before: object, key: str, poison: bytes, after: object) -> None:
    texts = [json.dumps(part).encode() for part in (before, key, after)]
    raw = b"[%s, {%s: %s}, %s]" % (texts[0], texts[1], poison, texts[2])
    with pytest.raises(Invalid) as refused:
        guard(raw)
    assert refused.value.details[0].field == f"1.{key}"


@given(VALUE, st.integers(1, 100))
def test_depth_is_found_beside_any_text(beside: object, depth: int) -> None:
    raw = b"[%s, %s, %s]" % (json.dumps(beside).encode(), nested(depth), json.dumps(beside).encode())
    if depth < MAX_DEPTH:
        assert guard(raw) == raw
    else:
        with pytest.raises(Invalid, match="levels deep"):
            guard(raw)


@given(VALUE, st.sampled_from([b"1", b"\xef\xbb\xbf"]) | POISON, st.integers(1, 100), st.booleans())
def test_a_check_and_a_parse_are_of_one_mind(value: object, odd: bytes, depth: int, cut: bool) -> None:
    raw = b'[%s, {"a": %s}, %s]' % (json.dumps(value).encode(), odd, nested(depth))
    agree(raw[:-1] if cut else raw)


@given(st.binary(max_size=60) | st.text().map(str.encode) | VALUE.map(json.dumps).map(str.encode))
def test_a_check_and_a_parse_are_of_one_mind_about_anything(raw: bytes) -> None:
    agree(raw)


def agree(raw: bytes) -> None:
    assert message_of(check_json, raw) == message_of(parse_json, raw)


def message_of(read: Callable[[bytes], object], raw: bytes) -> str | None:
    try:
        read(raw)
    except Invalid as refused:
        return refused.message
    return None


@given(st.binary(max_size=60))
def test_no_bytes_at_all_raise_anything_but_a_refusal(raw: bytes) -> None:
    try:
        parse_json(raw)
    except Invalid as refused:
        refused.message.encode()
