"""Reading YAML documents of rules: templates and policies. Whatever cannot be read is refused, with its place.

A rule that was silently dropped would count as satisfied.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from domain.errors import Invalid
from domain.facts.conditions import InvalidCondition, compiled
from domain.facts.requirements import ANY_TYPE
from domain.facts.safe_yaml import UnreadableYaml, read_yaml

MAX_NAME = 255
MAX_CONDITION = 1000
"""Characters of an `if`, which is evaluated again with every fact of a trail."""
MAX_REQUIREMENTS = 500
"""Attestations of one document."""
MAX_PATTERNS = 200
MAX_PROGRAM = 20_000
"""Patterns of all conditions together, and the instructions that these are compiled to (see the conditions)."""

_STRICT_TYPES = {
    name: name for name in ("generic", "junit", "snyk", "pull_request", "jira", "sonar", "decision", ANY_TYPE)
} | {"pull-request": "pull_request"}
_CUSTOM = re.compile(r"custom:\S+")


class DocumentParser:
    """A parser for one document, used once. Methods take a part of the document and its place, for error messages.

    `field` is the field of the request that has the document, `noun` what the document is. `strict` is Kosli's
    dialect: it knows a fixed list of attestation types.
    """

    def __init__(self, field: str, noun: str, *, strict: bool) -> None:
        self._field = field
        self._noun = noun
        self._strict = strict
        self._spent: Counter[str] = Counter()

    def refused(self, place: str, problem: str) -> Invalid:
        """Return the error for a part of the document."""
        return Invalid.of(self._field, f"{place} {problem}")

    def map(self, value: Any, place: str, keys: frozenset[str], *, closed: bool) -> Mapping[str, Any]:
        """Return a map, which has none but these keys if it is `closed`."""
        if not isinstance(value, dict):
            raise self.refused(place, "must be a map")
        unknown = sorted(value.keys() - keys)
        if closed and unknown:
            raise self.refused(place, f"has the unknown key '{unknown[0][:60]}'; it may have {', '.join(sorted(keys))}")
        return value

    def list(self, value: Any, place: str) -> Sequence[Any]:
        """Return a list; null counts as an empty one."""
        if value is not None and not isinstance(value, list):
            raise self.refused(place, "must be a list")
        return value or []

    def text(self, value: Any, place: str) -> str:
        """Return a text that is not blank."""
        if value is not None and not isinstance(value, str):
            raise self.refused(place, "must be a string; put it in quotes")
        if value is None or not value.strip():
            raise self.refused(place, "must not be blank")
        if len(value) > MAX_NAME:
            raise self.refused(place, f"must have at most {MAX_NAME} characters")
        return value

    def flag(self, value: Any, place: str, *, default: bool) -> bool:
        """Return true or false; null counts as the default."""
        if value is not None and not isinstance(value, bool):
            raise self.refused(place, "must be true or false")
        return default if value is None else value

    def condition(self, value: Any, place: str) -> str | None:
        """Return a condition that can be evaluated; None if there is none."""
        if value is None:
            return None
        if not isinstance(value, str):
            raise self.refused(place, "must be a string; put it in quotes")
        if len(value) > MAX_CONDITION:
            raise self.refused(place, f"must have at most {MAX_CONDITION} characters")
        try:
            condition = compiled(value)
        except InvalidCondition as error:
            raise self.refused(place, str(error)) from error
        self.spend(condition.patterns, "patterns", MAX_PATTERNS, place)
        self.spend(condition.program, "instructions of compiled patterns", MAX_PROGRAM, place)
        return value

    def spend(self, amount: int, unit: str, most: int, place: str) -> None:
        """Add to what the whole document uses of something. Raises Invalid beyond the limit."""
        self._spent[unit] += amount
        if self._spent[unit] > most:
            raise self.refused(place, f"goes beyond the {most} {unit} that a {self._noun} may have")

    def type(self, value: Any, place: str) -> str:
        """Return the type of an attestation, any type if there is none."""
        if value is None and not self._strict:
            return ANY_TYPE
        kind = self.text(value, place)
        if not self._strict or _CUSTOM.fullmatch(kind):
            return kind
        if kind not in _STRICT_TYPES:
            raise self.refused(place, f"must be one of {', '.join(_STRICT_TYPES)} or custom:NAME")
        return _STRICT_TYPES[kind]

    def check_unique(self, names: Sequence[str], place: str) -> None:
        """Refuse a list in which a name appears twice."""
        for n, name in enumerate(names):
            if names.index(name) < n:
                raise self.refused(f"{place}[{n}].name", f"appears twice: '{name[:60]}'")


def read_document(text: str, field: str) -> Any:
    """Parse a document into plain maps and lists, with all its keys. Raises Invalid if it is not YAML."""
    try:
        return read_yaml(text)
    except UnreadableYaml as error:
        raise Invalid.of(field, str(error)) from error


def given(container: Mapping[str, Any], key: str, default: Any) -> Any:
    """Return the value of a key; null counts as absent."""
    return default if container.get(key) is None else container[key]
