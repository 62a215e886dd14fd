"""YAML from strangers: plain maps, lists and scalars, read event by event (YAML 1.2.2, core schema).

Anchors, aliases and tags end the reading where they stand, so that nothing is ever multiplied or constructed.
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
_NO_TEXT = re.compile("[\0\ud800-\udfff]")
_INTEGER = re.compile(r"[-+]?[0-9]{1,18}")
_DECIMAL = re.compile(r"[-+]?[0-9]{1,15}\.[0-9]{1,15}")
_WORDS = {"": None, "~": None, "null": None, "true": True, "false": False}


class UnreadableYaml(Exception):  # noqa: N818 - reads as an outcome
    """A text that is no YAML document, or more of one than is taken. The message says where."""


def read_yaml(text: str) -> Any:
    """The one document of a text: dict, list, str, int, float, bool or None. Keys are always texts.

    Raises UnreadableYaml for anything else, and beyond the limits of this module.
    """
    if _NO_TEXT.search(text):
        raise UnreadableYaml("holds a character that is no text")
    if len(text.encode()) > MAX_BYTES:
        raise UnreadableYaml(f"has more than {MAX_BYTES} bytes")
    try:
        return _document(yaml.parse(text, Loader=_LOADER))
    except yaml.MarkedYAMLError as error:
        raise UnreadableYaml(f"{_line(error.problem_mark)}: {error.problem or error.context}") from error
    except (yaml.YAMLError, ValueError) as error:
        raise UnreadableYaml("cannot be read as YAML") from error


def _document(events: Iterator[Event]) -> Any:
    next(events)  # the stream's own start
    if isinstance(next(events), StreamEndEvent):
        return None
    document = _node(next(events), events, depth=0)
    for event in events:
        if not isinstance(event, DocumentEndEvent | StreamEndEvent):
            raise UnreadableYaml(f"{_line(event.start_mark)}: holds more than one document")
    return document


def _node(event: Event, events: Iterator[Event], depth: int) -> Any:
    """`event` and what belongs to it; the recursion is as deep as MAX_DEPTH."""
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
        _check_room(len(items), event)
        items.append(_node(event, events, depth))
    return items


def _map(events: Iterator[Event], depth: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    while not isinstance(event := next(events), MappingEndEvent):
        _check_room(len(found), event)
        key = _key(event)
        if key in found:
            raise UnreadableYaml(f"{_line(event.start_mark)}: the key '{key[:60]}' stands there twice")
        found[key] = _node(next(events), events, depth)
    return found


def _key(event: Event) -> str:
    _refuse_references(event)
    if not isinstance(event, ScalarEvent) or _NO_TEXT.search(event.value):
        raise UnreadableYaml(f"{_line(event.start_mark)}: a key must be a text")
    if event.value == "<<":
        raise UnreadableYaml(f"{_line(event.start_mark)}: merge keys are not taken")
    return str(event.value)


def _scalar(event: ScalarEvent) -> Any:
    text: str = event.value
    if _NO_TEXT.search(text):
        raise UnreadableYaml(f"{_line(event.start_mark)}: holds a character that is no text")
    plain = event.implicit[0]  # neither quoted nor a block
    if not plain:
        return text
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _DECIMAL.fullmatch(text) else text


def _refuse_references(event: Event) -> None:
    """An alias carries its anchor as well."""
    if getattr(event, "anchor", None) is not None:
        raise UnreadableYaml(f"{_line(event.start_mark)}: anchors and aliases are not taken")
    if getattr(event, "tag", None) is not None:
        raise UnreadableYaml(f"{_line(event.start_mark)}: tags are not taken")


def _check_room(taken: int, event: Event) -> None:
    if taken == MAX_ITEMS:
        raise UnreadableYaml(f"{_line(event.start_mark)}: more than {MAX_ITEMS} entries in one place")


def _line(mark: Any) -> str:
    return f"line {mark.line + 1}" if mark else "somewhere"
