"""YAML from strangers: what is read, and what is refused before it can do harm."""

import json
from contextlib import suppress
from time import process_time
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from domain.facts import safe_yaml
from domain.facts.safe_yaml import MAX_BYTES, MAX_DEPTH, MAX_ITEMS, UnreadableYaml, read_yaml


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", None),
        ("# nothing but a remark", None),
        ("---", None),
        ("a: 1", {"a": 1}),
        ("a: -7", {"a": -7}),
        ("a: 1.5", {"a": 1.5}),
        ("a: true\nb: False", {"a": True, "b": False}),
        ("a:\nb: ~\nc: null", {"a": None, "b": None, "c": None}),
        ("a: '1'\nb: \"true\"\nc: |\n  ~\n", {"a": "1", "b": "true", "c": "~\n"}),
        ("on: push\n1: one", {"on": "push", "1": "one"}),  # keys are texts, whatever they look like
        ("a: yes\nb: 2026-11-22\nc: 0x1f\nd: 1e999\ne: .inf", {
            "a": "yes", "b": "2026-11-22", "c": "0x1f", "d": "1e999", "e": ".inf",
        }),
        ("a: " + "9" * 5000, {"a": "9" * 5000}),  # no number is too long to be read, it is a text
        ("[a, [b, {c: d}]]", ["a", ["b", {"c": "d"}]]),
        ("- a\n-\n  b: c\n", ["a", {"b": "c"}]),
        ("a: b\n...\n", {"a": "b"}),
        ("a: gr\u00fc\u00dfe \U0001f600", {"a": "gr\u00fc\u00dfe \U0001f600"}),
    ],
)  # fmt: skip
def test_a_document_is_plain_maps_lists_and_scalars(text: str, expected: Any) -> None:
    assert read_yaml(text) == expected


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: &x 1", "line 1: anchors"),
        ("a: 1\nb: *x", "line 2: anchors"),
        ("&x a: 1", "anchors"),
        ("a: &x [1]", "anchors"),
        ("a: &x {b: 1}", "anchors"),
        ("*x : 1", "anchors"),
        ("!!python/object/apply:os.system [ls]", "tags"),
        ("a: !secret x", "tags"),
        ("a: !!str 1", "tags"),
        ("a: ! x", "tags"),
        ("!!map {a: 1}", "tags"),
        ("? !!str a\n: 1", "tags"),
        ("<<: {a: 1}", "merge keys"),
        ("a: 1\nb: 2\na: 3", "line 3: the key 'a'"),
        ("x: {a: 1, 'a': 2}", "twice"),
        ("? [a, b]\n: 1", "a key must be a string"),
        ("{a: 1}: 1", "a key must be a string"),
        ("a: 1\n---\nb: 1", "line 2: contains more than one document"),
        ("a: [", "line 2: "),
        ("a: b: c", "line 1: "),
        ("a: 'x", "line "),
        ("\tx: 1", "line 1: "),
        ("%YAML 9.9\n---\na: 1", "line 1: "),
        ("a: \x00", "a NUL character or a lone surrogate"),
        ("a: \ud800", "a NUL character or a lone surrogate"),
        ('a: "\\0"', "a NUL character or a lone surrogate"),
        ('"a\\0": 1', "a key must be a string"),
        ("a: \x07", "cannot be read"),
    ],
)
def test_what_is_refused_says_where(text: str, told: str) -> None:
    with pytest.raises(UnreadableYaml, match=told):
        read_yaml(text)


def test_every_limit_is_exact() -> None:
    lists, items = "[" * MAX_DEPTH + "]" * MAX_DEPTH, ["x"] * MAX_ITEMS
    longest = "a: " + "b" * (MAX_BYTES - 3)
    pairs = {f"k{n}": n for n in range(MAX_ITEMS)}
    assert read_yaml(lists)
    assert read_yaml(json.dumps(items)) == items
    assert read_yaml(json.dumps(pairs)) == pairs
    assert len(read_yaml(longest)["a"]) == MAX_BYTES - 3
    for text in (f"[{lists}]", json.dumps([*items, "x"]), json.dumps({**pairs, "k": 0}), longest + "b", "ä" * 40_000):
        with pytest.raises(UnreadableYaml, match=f"{MAX_DEPTH}|{MAX_ITEMS}|{MAX_BYTES}"):
            read_yaml(text)


def laughs(levels: int) -> str:
    """A billion laughs: every level stands for ten of the one before it."""
    lines = ["a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, levels)]
    return "\n".join(lines)


@pytest.mark.parametrize("text", [laughs(9), laughs(200), "&a [*a]", "a: &a {b: *a}", "[" * 60_000, "{a: " * 15_000])
def test_a_bomb_dies_before_it_is_composed(text: str) -> None:
    before = process_time()
    with pytest.raises(UnreadableYaml, match=r"anchors|levels"):
        read_yaml(text)
    assert process_time() - before < 0.5


letters = st.text(st.characters(categories=["L", "N", "P", "S"]), max_size=20)
scalars = st.none() | st.booleans() | st.integers(-(10**17), 10**17) | letters
documents = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(letters, inner, max_size=4), max_leaves=20
)


@given(documents)
def test_what_is_json_is_read_as_what_it_says(document: Any) -> None:
    """JSON is YAML (YAML 1.2.2, 1.2)."""
    text = json.dumps(document, ensure_ascii=False)
    if '"<<":' in text:
        return
    assert read_yaml(text) == document


@given(st.text() | st.text(st.sampled_from("{}[]:,-&*!?|>'\"#%@` \n\tab01~<.\\\0\ud800"), max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(UnreadableYaml):
        json.dumps(read_yaml(text), allow_nan=False).encode()


@given(st.text(st.sampled_from("{}[]:,-&*!?|>'\"#%@ \nab1~\\"), max_size=40))
def test_the_reader_without_the_c_library_is_as_safe(text: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(safe_yaml, "_LOADER", yaml.SafeLoader)
        with suppress(UnreadableYaml):
            json.dumps(read_yaml(text), allow_nan=False)
