"""Byte order marks and lone surrogates, and that nothing else is touched."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.json_text import readable, without_mark


def test_a_byte_order_mark_is_left_out() -> None:
    assert without_mark(b"\xef\xbb\xbf{}") == b"{}"
    assert readable(b"\xef\xbb\xbf{}") == b"{}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (rb'"\ud83d"', rb'"\ufffd"'),
        (rb'"\uDE00"', rb'"\ufffd"'),
        (rb'"\ude00\ud83d"', rb'"\ufffd\ufffd"'),
        (rb'"\ud83d\ud83d\ude00"', rb'"\ufffd\ud83d\ude00"'),
        (rb'"\ud83d\ude00\ude00"', rb'"\ud83d\ude00\ufffd"'),
        (rb'"\\\ud83d"', rb'"\\\ufffd"'),
        (rb'"\\ud83d"', rb'"\\ud83d"'),
        (rb'"\ud83d\\ude00"', rb'"\ufffd\\ude00"'),
        (rb'"\ud83d\ude00"', rb'"\ud83d\ude00"'),
        (rb'"\ud7ff\ue000"', rb'"\ud7ff\ue000"'),
        (rb'"\ud83"', rb'"\ud83"'),
        (b'"\0\\ud83d"', b'"\0\\ud83d"'),
    ],
)
def test_lone_surrogates_are_replaced(text: bytes, expected: bytes) -> None:
    assert readable(text) == expected


@given(st.text(st.characters() | st.sampled_from("\\ud83\ud83d\ude00\U0001f600")))
def test_what_was_text_stays_and_the_rest_becomes_text(text: str) -> None:
    read = json.loads(readable(json.dumps(text).encode()))
    assert read == text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    read.encode()


@given(st.binary(max_size=60))
def test_whatever_is_no_escape_stays(text: bytes) -> None:
    if b"\\ud" not in text.lower():
        assert readable(text) == without_mark(text)
