import asyncio
import json
import time
import tracemalloc
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.http import reading
from api.http.reading import MAX_DEPTH, MAX_ON_LOOP, _structure, check_json, guard, guarded, parse_json
from domain.errors import Invalid
from domain.json_text import without_mark
from integrations.deliveries import Payload, read


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


@pytest.mark.parametrize(("depth", "reason"), [(500, "levels deep"), (100_000, "recursion")])
def test_absurd_depth_is_an_ordinary_refusal(depth: int, reason: str) -> None:
    assert reason in refusal(nested(depth)).message
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


UNREAD = {
    "a byte order mark": b'\xef\xbb\xbf{"a": 1}',
    "NUL": rb'{"a": "\u0000"}',
    "half a character": rb'{"a": "\ud83d", "\ude00": "\uD83D\ud83d\ude00"}',
    "a large integer": b'{"a": 18446744073709551616}',
    "a large number": b'{"a": 1e999}',
    "depth": nested(150),
}


@pytest.mark.parametrize("name", UNREAD)
def test_a_delivery_is_not_lost_over_a_value_that_nobody_stores(name: str) -> None:
    check_json(UNREAD[name])
    read(Payload, b'{"unread": %s}' % without_mark(UNREAD[name]))


@given(VALUE | st.just(0), st.sampled_from([b"1", b"\xef\xbb\xbf", rb'"\udEad"']) | POISON, st.integers(1, 300))
def test_what_a_check_lets_through_can_be_parsed(value: object, odd: bytes, depth: int) -> None:
    raw = b'{"a": [%s, {"a": %s}, %s]}' % (json.dumps(value).encode(), odd, nested(depth))
    try:
        check_json(raw)
    except Invalid:
        return
    read(Payload, raw)


@given(st.binary(max_size=60) | st.text().map(str.encode))
def test_a_check_raises_nothing_but_a_refusal(raw: bytes) -> None:
    try:
        check_json(raw)
    except Invalid as refused:
        refused.message.encode()


SIZE = 2**17
HOSTILE = {
    "zeros": b"[" + b"0," * (SIZE // 2) + b"NaN]",
    "fractions": b"[" + b"0.5," * (SIZE // 4) + b"NaN]",
    "texts": b"[" + b'"ab",' * (SIZE // 5) + b"NaN]",
    "objects": b"[" + b'{"":0},' * (SIZE // 7) + b"NaN]",
    "long integers": b"[" + b"1000000000000000000," * (SIZE // 20) + b"NaN]",
    "depth": b"[" + (b"[" * 62 + b"]" * 62 + b",") * (SIZE // 125) + b"NaN]",
}
"""128 KiB each; only the last value is refused, so that all the others are looked at."""


@pytest.mark.parametrize("name", ["zeros", "objects"])
def test_a_hostile_body_costs_no_more_than_a_few_parses_of_it(name: str) -> None:
    """A path for each value cost about 20 parses."""
    raw = HOSTILE[name]
    parsing = min(spent(lambda: json.loads(raw)) for _ in range(5))
    assert min(spent(lambda: refusal_of_guard(raw)) for _ in range(5)) < 12 * parsing


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_body_takes_no_more_memory_than_its_values(name: str) -> None:
    raw = HOSTILE[name]
    assert peak_of(lambda: refusal_of_guard(raw)) < peak_of(lambda: json.loads(raw)) + 5 * len(raw)


def test_texts_are_cut_out_in_little_memory() -> None:
    raw = b"[" + b'"ab",' * (2 * SIZE) + b"0]"
    assert peak_of(lambda: guard(raw)) < 5 * len(raw)


@given(st.binary(max_size=40), st.integers(1, 7))
def test_strings_are_found_whatever_the_pieces(text: bytes, piece: int) -> None:
    whole = _structure(text)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(reading, "_PIECE", piece)
        assert _structure(text) == whole


def refusal_of_guard(raw: bytes) -> None:
    with pytest.raises(Invalid, match="finite"):
        guard(raw)


def spent(act: Callable[[], object]) -> float:
    """The processor time of one round, in seconds."""
    started = time.process_time()
    act()
    return time.process_time() - started


def peak_of(act: Callable[[], object]) -> int:
    """The most memory that was in use at a time, in bytes."""
    tracemalloc.start()
    try:
        act()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


async def test_only_a_large_body_is_screened_in_a_thread() -> None:
    """Where the loop goes on meanwhile."""
    for size, turns in ((100, 0), (MAX_ON_LOOP + 1, 1)):
        turn = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(turn.set_result, None)
        await guarded(b'"' + b"x" * size + b'"')
        assert turn.done() is bool(turns)
        await turn


@given(st.binary(max_size=60))
def test_no_bytes_at_all_raise_anything_but_a_refusal(raw: bytes) -> None:
    try:
        parse_json(raw)
    except Invalid as refused:
        refused.message.encode()
