"""Safe parsing of untrusted YAML: plain maps, lists and scalars, read event by event (YAML 1.2.2, core schema).

Anchors, aliases and tags are refused, so that no content is multiplied and no object is constructed.
"""

import re
from collections.abc import Iterator
from typing import Any

import yaml
from yaml.events import (
    DocumentEndEvent,
    Event,
    MappingEndEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)

MAX_BYTES = 64 << 10
MAX_DEPTH = 16
MAX_ITEMS = 500
"""Entries of one list or map."""

_LOADER: Any = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
_INTEGER = re.compile(r"[-+]?[0-9]{1,18}")
_DECIMAL = re.compile(r"[-+]?[0-9]{1,15}\.[0-9]{1,15}")
_WORDS = {"": None, "~": None, "null": None, "true": True, "false": False}


class UnreadableYaml(Exception):  # noqa: N818 - reads as an outcome
    """A text that is not a YAML document, or that exceeds the limits. The message says where."""


def read_yaml(text: str) -> Any:
    """Parse the single document of a text: dict, list, str, int, float, bool or None. Keys are always strings.

    Raises UnreadableYaml for anything else, and for a document beyond the limits of this module.
    """
    if _UNSTORABLE.search(text):
        raise UnreadableYaml("contains a NUL character or a lone surrogate")
    if len(text.encode()) > MAX_BYTES:
        raise UnreadableYaml(f"has more than {MAX_BYTES} bytes")
    try:
        return _document(yaml.parse(text, Loader=_LOADER))
    except yaml.MarkedYAMLError as error:
        raise UnreadableYaml(f"{_line(error.problem_mark)}: {error.problem or error.context}") from error
    except (yaml.YAMLError, ValueError) as error:
        raise UnreadableYaml("cannot be read as YAML") from error


def _document(events: Iterator[Event]) -> Any:
    next(events)  # the start of the stream
    if isinstance(next(events), StreamEndEvent):
        return None
    document = _node(next(events), events, depth=0)
    for event in events:
        if not isinstance(event, DocumentEndEvent | StreamEndEvent):
            raise UnreadableYaml(f"{_line(event.start_mark)}: contains more than one document")
    return document


def _node(event: Event, events: Iterator[Event], depth: int) -> Any:
    """Read the node that begins with `event`; MAX_DEPTH limits the recursion."""
    _refuse_references(event)
    if isinstance(event, ScalarEvent):
        return _scalar(event)
    if depth == MAX_DEPTH:
        raise UnreadableYaml(f"{_line(event.start_mark)}: nests more than {MAX_DEPTH} levels")
    if isinstance(event, SequenceStartEvent):
        return _list(events, depth + 1)
    return _map(events, depth + 1)


def _list(events: Iterator[Event], depth: int) -> list[Any]:
    items: list[Any] = []
    while not isinstance(event := next(events), SequenceEndEvent):
        _check_length(len(items), event)
        items.append(_node(event, events, depth))
    return items


def _map(events: Iterator[Event], depth: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    while not isinstance(event := next(events), MappingEndEvent):
        _check_length(len(found), event)
        key = _key(event)
        if key in found:
            raise UnreadableYaml(f"{_line(event.start_mark)}: the key '{key[:60]}' appears twice")
        found[key] = _node(next(events), events, depth)
    return found


def _key(event: Event) -> str:
    _refuse_references(event)
    if not isinstance(event, ScalarEvent) or _UNSTORABLE.search(event.value):
        raise UnreadableYaml(f"{_line(event.start_mark)}: a key must be a string")
    if event.value == "<<":
        raise UnreadableYaml(f"{_line(event.start_mark)}: merge keys are not supported")
    return str(event.value)


def _scalar(event: ScalarEvent) -> Any:
    text: str = event.value
    if _UNSTORABLE.search(text):
        raise UnreadableYaml(f"{_line(event.start_mark)}: contains a NUL character or a lone surrogate")
    plain = event.implicit[0]  # neither quoted nor a block
    if not plain:
        return text
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _DECIMAL.fullmatch(text) else text


def _refuse_references(event: Event) -> None:
    """Raise UnreadableYaml for anchors, aliases (their events have an anchor as well) and tags."""
    if getattr(event, "anchor", None) is not None:
        raise UnreadableYaml(f"{_line(event.start_mark)}: anchors and aliases are not supported")
    if getattr(event, "tag", None) is not None:
        raise UnreadableYaml(f"{_line(event.start_mark)}: tags are not supported")


def _check_length(length: int, event: Event) -> None:
    if length == MAX_ITEMS:
        raise UnreadableYaml(f"{_line(event.start_mark)}: more than {MAX_ITEMS} entries in one list or map")


def _line(mark: Any) -> str:
    return f"line {mark.line + 1}" if mark else "unknown line"
