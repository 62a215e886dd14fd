"""Several JSON documents one after another, as tools print them into one pipe, checked against the shapes we read."""

import re
from collections.abc import Iterator
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from domain.json_text import readable
from integrations.formats.json_files import as_utf8, parse_json
from integrations.formats.parsed import Unreadable, shown

MAX_BYTES = 256 * 2**20

_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*+"?|[\[\]{}]', re.DOTALL)
"""A string, or a bracket outside of strings. One that does not end reaches to the end of the text."""
_MAX_SEGMENTS = 10

Model = TypeVar("Model", bound=BaseModel)


class Shape(BaseModel):
    """A part of a tool's JSON, with only the fields that are read, and without type coercion."""

    model_config = ConfigDict(strict=True, frozen=True)


def read_documents(content: bytes) -> list[Any]:
    """Parse one document or several. Raises Unreadable; an empty input is no document."""
    if len(content) > MAX_BYTES:
        raise Unreadable(f"The input is larger than {MAX_BYTES >> 20} MiB")
    text = readable(as_utf8(content)).strip()
    if not text:
        raise Unreadable("The input is empty: the command that prints it has probably failed")
    if text[:1] not in (b"[", b"{"):
        raise Unreadable("The input is not JSON: kubectl needs `-o json`, and `docker ps` needs `--format json`")
    try:
        return [parse_json(text)]
    except Unreadable:
        parts = list(_split(text))
        if len(parts) == 1:
            raise
    return [_parsed(part, number) for number, part in enumerate(parts, 1)]


def _split(text: bytes) -> Iterator[bytes]:
    """Cut the text behind each array or object that is in no other one."""
    start = depth = 0
    for token in _TOKEN.finditer(text):
        if token[0] in b"[{":
            depth += 1
        elif token[0] in b"]}":
            depth -= 1
            if depth <= 0:
                yield text[start : token.end()]
                start, depth = token.end(), 0
    if text[start:].strip():
        yield text[start:]


def _parsed(text: bytes, number: int) -> Any:
    try:
        return parse_json(text)
    except Unreadable as error:
        raise Unreadable(f"Document {number}: {error.message}") from None


def checked(model: type[Model], value: Any, place: str = "") -> Model:
    """Return the value as a model. Raises Unreadable, naming the first field that is not as it should be.

    `place` says where in the input the value is.
    """
    try:
        return model.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        path = place + "".join(map(_segment, first["loc"][:_MAX_SEGMENTS]))
        raise Unreadable(f"{path.removeprefix('.') or 'The input'}: {first['msg']}") from None


def _segment(part: int | str) -> str:
    return f"[{part}]" if isinstance(part, int) else f".{shown(part)}"
