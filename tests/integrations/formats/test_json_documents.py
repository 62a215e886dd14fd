"""Documents one after another, and what is no document."""

import json
from contextlib import suppress
from time import process_time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integrations.formats import json_documents
from integrations.formats.json_documents import read_documents
from integrations.formats.parsed import Unreadable

containers = st.recursive(
    st.lists(st.integers() | st.text(), max_size=3) | st.dictionaries(st.text(), st.text() | st.none(), max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(st.lists(containers, min_size=1, max_size=5), st.sampled_from(["", "\n", " ", "\r\n\n"]), st.booleans())
def test_documents_are_read_one_after_another(documents: list[Any], between: str, ascii_only: bool) -> None:
    written = [json.dumps(one, ensure_ascii=ascii_only, indent=len(between) or None) for one in documents]
    try:
        text = between.join(written).encode()
    except UnicodeEncodeError:  # a lone surrogate that was not escaped
        return
    read = read_documents(text)
    if "\\ud" not in text.decode():  # of which U+FFFD is read
        assert read == [_in_64_bits(one) for one in documents]


def _in_64_bits(value: Any) -> Any:
    """As orjson reads integers: larger ones are floats."""
    if isinstance(value, list):
        return [_in_64_bits(one) for one in value]
    if isinstance(value, dict):
        return {key: _in_64_bits(one) for key, one in value.items()}
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        return float(value)
    return value


@given(st.binary() | st.text('[]{}",:\\ 1a', max_size=40).map(str.encode))
def test_whatever_is_given_is_read_or_refused_in_our_words(content: bytes) -> None:
    with suppress(Unreadable):
        read_documents(content)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "The input is empty"),
        (b" \n", "The input is empty"),
        (b"\xef\xbb\xbf", "The input is empty"),
        (b"No resources found", "The input is not JSON: kubectl needs `-o json`"),
        (b"NAME   READY   STATUS", "The input is not JSON: kubectl needs `-o json`"),
        (b"[1, 2", "The file is not JSON"),
        (b"[1] [2,] [3]", "Document 2: The file is not JSON"),
        (b"[1] error: connection refused", "Document 2: The file is not JSON"),
        (b"[" * 100_000, "The file is not JSON"),
        (b'["\\', "The file is not JSON"),
        (b"[NaN]", "The file is not JSON"),
    ],
)
def test_what_is_no_document_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(Unreadable) as refused:
        read_documents(content)
    assert refused.value.message.startswith(message)


def test_utf_16_is_read_as_powershell_writes_it() -> None:
    assert read_documents('{"größe": 1}\n[2]'.encode("utf-16")) == [{"größe": 1}, [2]]


def test_an_input_beyond_the_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_documents, "MAX_BYTES", 10)
    with pytest.raises(Unreadable, match="larger than"):
        read_documents(b"[1, 2, 3, 4]")


@pytest.mark.parametrize("piece", [rb"\"", b'"', b"[", b'"[]', b"\\"])
def test_the_time_grows_with_the_length(piece: bytes) -> None:
    def cost(length: int) -> float:
        content = b'"' + piece * length
        began = process_time()
        with pytest.raises(Unreadable):
            read_documents(content)
        return process_time() - began

    cost(1000)
    assert min(cost(160_000) for _ in range(3)) < 40 * max(min(cost(20_000) for _ in range(3)), 1e-4)
