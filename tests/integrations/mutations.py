"""Payloads changed in one place, and what a parser may do with whatever it is given."""

import copy
import json
import time
from collections.abc import Callable, Container, Iterator
from typing import Any

from hypothesis import strategies as st

from integrations.contract import BadDelivery, Delivery, Parsed

anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["success", "", "%00"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
"""JSON values, among them NaN and the infinities, which Python's writer does not refuse."""


def changed(document: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    """A copy with another value at a dotted path."""
    whole = copy.deepcopy(document)
    *parents, last = path.split(".")
    part = whole
    for key in parents:
        part = part[key]
    part[last] = value
    return whole


def one_place_replaced(document: dict[str, Any], read: Container[str], data: st.DataObject) -> bytes:
    """The document with anything in the place of one value that the parser reads, else of any value."""
    whole = copy.deepcopy(document)
    places = [(part, key) for part, key in _places(whole) if key in read]
    part, key = data.draw(st.sampled_from(places or list(_places(whole))))
    part[key] = data.draw(anything)
    return json.dumps(whole).encode()


def _places(part: object) -> Iterator[tuple[dict[str, Any], str]]:
    """Every place in a document, as (the object it is in, its key)."""
    if isinstance(part, dict):
        for key, value in part.items():
            yield part, key
            yield from _places(value)
    elif isinstance(part, list):
        for element in part:
            yield from _places(element)


def survives(parse: Callable[[Delivery], Parsed], delivery: Delivery) -> None:
    """Either refused in our words, or every text in the result can be stored."""
    try:
        result = parse(delivery)
    except BadDelivery:
        return
    for text in _strings(result):
        assert "\0" not in text
        assert len(text.encode()) < 10_000
    assert all(len(hint.identity or "") <= 240 and len(hint.name or "") <= 255 for hint in result.attestations)


def _strings(result: Parsed) -> Iterator[str]:
    parts: list[Any] = [result, *result.attestations, *([result.trail] if result.trail else [])]
    for part in parts:
        values = (getattr(part, field) for field in part.__slots__)
        yield from (value for value in values if isinstance(value, str))


def is_cheap(parse: Callable[[Delivery], Parsed], delivery: Delivery) -> bool:
    """Against `json.loads` of the same body, because a clock measures the machine. Ours take 0.6 to 2 times as long."""
    return _cheapest(lambda: parse(delivery)) < 6 * _cheapest(lambda: json.loads(delivery.body))


def _cheapest(act: Callable[[], object]) -> float:
    """Processor time in seconds, the best of several rounds."""

    def one_round() -> float:
        started = time.process_time()
        for _ in range(100):
            act()
        return time.process_time() - started

    return min(one_round() for _ in range(7))
