"""A field of a form, decoded as `urllib.parse` would, at a fraction of its cost."""

import json
import re
import time
from collections.abc import Callable
from urllib.parse import quote, quote_plus, unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integrations import forms
from integrations.contract import BadDelivery
from integrations.forms import MAX_FIELDS, form_field


@given(st.binary(max_size=200) | st.text().map(str.encode), st.sampled_from([quote_plus, quote]))
def test_a_value_is_what_it_was(value: bytes, encode: Callable[[bytes], str]) -> None:
    form = b"a=b&payload=" + encode(value).encode() + b"&c="
    assert form_field(form, "payload") == value


@given(st.text(st.sampled_from("%=+ab0F3\n \x7f_.-"), max_size=12))
def test_what_is_decoded_is_what_urllib_decodes(text: str) -> None:
    """Or nothing: false escapes and line breaks are refused, whatever stands beside them."""
    value = text.encode()
    try:
        decoded = form_field(b"payload=" + value, "payload")
    except BadDelivery:
        assert "\n" in text or re.search(r"%(?![0-9a-fA-F]{2})", text)
    else:
        assert decoded == unquote_to_bytes(value.replace(b"+", b" "))


@pytest.mark.parametrize("size", range(1, 8))
def test_pieces_never_cut_an_escape(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forms, "_PIECE", size)
    value = 'a"b\u20ac==%& +\n' * 5
    for lead in range(4):
        form = "payload=" + quote_plus("x" * lead + value)
        assert form_field(form.encode(), "payload").decode() == "x" * lead + value


@pytest.mark.parametrize(
    "form",
    [
        b"payload=%",
        b"payload=%2",
        b"payload=%zz",
        b"payload=%%41",
        b"payload=a%\nb",
        b"payload=a\r\nb",
        "payload=\u00fc".encode(),
        b"payload=%22" + b"&x" * MAX_FIELDS,
    ],
)
def test_a_malformed_form_is_refused(form: bytes) -> None:
    with pytest.raises(BadDelivery, match="not a valid form"):
        form_field(form, "payload")


@pytest.mark.parametrize("form", [b"", b"other=1", b"xpayload=1", b"payload"])
def test_a_missing_field_is_named(form: bytes) -> None:
    with pytest.raises(BadDelivery) as refused:
        form_field(form, "payload")
    assert refused.value.field == "payload"


def test_megabytes_cost_a_fraction_of_what_urllib_takes() -> None:
    """Against `urllib.parse` on the same form, because a clock measures the machine."""
    payload = json.dumps({"lines": ['a "b" {c}\n'] * 50_000}).encode()
    value = quote_plus(payload).encode()
    assert cost(lambda: form_field(b"payload=" + value, "payload")) < cost(lambda: unquote_to_bytes(value)) / 4


def cost(act: Callable[[], object]) -> float:
    """The least processor time of five rounds, in seconds."""
    rounds = []
    for _ in range(5):
        started = time.process_time()
        act()
        rounds.append(time.process_time() - started)
    return min(rounds)
