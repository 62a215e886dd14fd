"""Templates: the requirements of a flow or a trail in YAML, in two dialects with one compiled form.

OpenFactstore's dialect is lenient: it ignores unknown keys and accepts any type. Kosli's is strict. Both refuse what
they cannot read: a requirement that was silently dropped would count as satisfied.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import yaml

from domain.errors import Invalid
from domain.facts.conditions import InvalidCondition, compiled
from domain.facts.flows import Flow
from domain.facts.requirements import ANY_TYPE, ArtifactSlot, Requirement, RequirementSet, Template
from domain.facts.safe_yaml import UnreadableYaml, read_yaml

FIELD = "templateYaml"
MAX_NAME = 255
MAX_CONDITION = 1000
"""Characters of an `if`, which is evaluated again with every fact of a trail."""
MAX_REQUIREMENTS = 500
"""Attestations of the trail and of all artifacts together."""
MAX_ARTIFACTS = 200
MAX_PATTERNS = 200
MAX_PROGRAM = 20_000
"""Patterns of all conditions together, and the instructions that these are compiled to (see the conditions)."""

_VERSION = 1
_ROOT = frozenset({"version", "trail"})
_LENIENT_ROOT = _ROOT | {"artifacts", "requiredAttestations"}
_TRAIL = frozenset({"attestations", "artifacts"})
_ARTIFACT = frozenset({"name", "attestations"})
_ATTESTATION = frozenset({"name", "type"})

_STRICT_TYPES = {
    name: name for name in ("generic", "junit", "snyk", "pull_request", "jira", "sonar", "decision", ANY_TYPE)
} | {"pull-request": "pull_request"}
_CUSTOM = re.compile(r"custom:\S+")


def parse_template(text: str, *, strict: bool = False) -> Template:
    """Parse a template, in Kosli's dialect if `strict`, otherwise in OpenFactstore's.

    Raises Invalid, naming the field and the place in it: `templateYaml: trail.attestations[2].name must not be blank`.
    """
    return Template(text, _TemplateParser(strict=strict).requirements(template_document(text)))


def template_document(text: str) -> Any:
    """Parse a template into plain maps and lists, with all its keys. Raises Invalid if it is not YAML."""
    try:
        return read_yaml(text)
    except UnreadableYaml as error:
        raise Invalid.of(FIELD, str(error)) from error


def written_template(flow: Flow) -> str:
    """Write the template equivalent to the type list of a flow that has no template."""
    document = {
        "name": flow.name,
        "description": flow.description,
        "requiredAttestations": flow.required_types,
        "tags": flow.tags,
    }
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=120)


class _TemplateParser:
    """A parser for one dialect, used once. Methods take a part of the document and its place, for error messages."""

    def __init__(self, *, strict: bool) -> None:
        self._strict = strict
        self._spent: Counter[str] = Counter()

    def requirements(self, document: Any) -> RequirementSet:
        root = self._map(document, "the document", _ROOT)
        if root and not root.keys() & _LENIENT_ROOT:
            raise _refused("the document", f"has none of the keys {', '.join(sorted(_LENIENT_ROOT))}")
        self._check_version(root.get("version"))
        trail = self._map(_given(root, "trail", {}), "trail", _TRAIL)
        own = self._attestations(trail.get("attestations"), "trail.attestations")
        types = self._types(root.get("requiredAttestations"))
        if trail.get("artifacts") is None and not self._strict:
            return RequirementSet((*own, *types), self._slots(root.get("artifacts"), "artifacts"))
        return RequirementSet((*own, *types), self._slots(trail.get("artifacts"), "trail.artifacts"))

    def _check_version(self, version: Any) -> None:
        if self._strict and version is not None and (version != _VERSION or isinstance(version, bool)):
            raise _refused("version", f"must be {_VERSION}")
        if isinstance(version, dict | list):
            raise _refused("version", "must be a number")

    def _types(self, entries: Any) -> Iterable[Requirement]:
        place = "requiredAttestations"
        names = [_text(entry, f"{place}[{n}]") for n, entry in enumerate(_list(entries, place))]
        types = RequirementSet.of_types(names).trail
        self._spend(len(types), "attestations", MAX_REQUIREMENTS, place)
        return types

    def _slots(self, entries: Any, place: str) -> tuple[ArtifactSlot, ...]:
        slots = tuple(self._slot(entry, f"{place}[{n}]") for n, entry in enumerate(_list(entries, place)))
        _check_unique([slot.name for slot in slots], place)
        return slots

    def _slot(self, entry: Any, place: str) -> ArtifactSlot:
        artifact = self._map(entry, place, _ARTIFACT)
        self._spend(1, "artifacts", MAX_ARTIFACTS, place)
        name = _text(artifact.get("name"), f"{place}.name")
        return ArtifactSlot(name, self._attestations(artifact.get("attestations"), f"{place}.attestations"))

    def _attestations(self, entries: Any, place: str) -> tuple[Requirement, ...]:
        asked = tuple(self._attestation(entry, f"{place}[{n}]") for n, entry in enumerate(_list(entries, place)))
        _check_unique([one.label for one in asked], place)
        return asked

    def _attestation(self, entry: Any, place: str) -> Requirement:
        attestation = self._map(entry, place, _ATTESTATION)
        self._spend(1, "attestations", MAX_REQUIREMENTS, place)
        name = _text(attestation.get("name"), f"{place}.name")
        kind = self._type(attestation.get("type"), f"{place}.type")
        return Requirement(kind, name, self._condition(attestation.get("if"), f"{place}.if"))

    def _condition(self, value: Any, place: str) -> str | None:
        if value is None:
            return None
        if not isinstance(value, str):
            raise _refused(place, "must be a string; put it in quotes")
        if len(value) > MAX_CONDITION:
            raise _refused(place, f"must have at most {MAX_CONDITION} characters")
        try:
            condition = compiled(value)
        except InvalidCondition as error:
            raise _refused(place, str(error)) from error
        self._spend(condition.patterns, "patterns", MAX_PATTERNS, place)
        self._spend(condition.program, "instructions of compiled patterns", MAX_PROGRAM, place)
        return value

    def _spend(self, amount: int, unit: str, most: int, place: str) -> None:
        """Add to what the whole template uses of something. Raises Invalid beyond the limit."""
        self._spent[unit] += amount
        if self._spent[unit] > most:
            raise _refused(place, f"goes beyond the {most} {unit} that a template may have")

    def _type(self, value: Any, place: str) -> str:
        if value is None and not self._strict:
            return ANY_TYPE
        kind = _text(value, place)
        if not self._strict or _CUSTOM.fullmatch(kind):
            return kind
        if kind not in _STRICT_TYPES:
            raise _refused(place, f"must be one of {', '.join(_STRICT_TYPES)} or custom:NAME")
        return _STRICT_TYPES[kind]

    def _map(self, value: Any, place: str, keys: frozenset[str]) -> Mapping[str, Any]:
        if not isinstance(value, dict):
            raise _refused(place, "must be a map")
        unknown = sorted(value.keys() - keys)
        if self._strict and unknown:
            raise _refused(place, f"has the unknown key '{unknown[0][:60]}'")
        return value


def _given(container: Mapping[str, Any], key: str, default: Any) -> Any:
    """Return the value of a key; null counts as absent."""
    return default if container.get(key) is None else container[key]


def _list(value: Any, place: str) -> Sequence[Any]:
    if value is not None and not isinstance(value, list):
        raise _refused(place, "must be a list")
    return value or []


def _text(value: Any, place: str) -> str:
    if value is not None and not isinstance(value, str):
        raise _refused(place, "must be a string; put it in quotes")
    if value is None or not value.strip():
        raise _refused(place, "must not be blank")
    if len(value) > MAX_NAME:
        raise _refused(place, f"must have at most {MAX_NAME} characters")
    return value


def _check_unique(names: Sequence[str], place: str) -> None:
    for n, name in enumerate(names):
        if names.index(name) < n:
            raise _refused(f"{place}[{n}].name", f"appears twice: '{name[:60]}'")


def _refused(place: str, problem: str) -> Invalid:
    return Invalid.of(FIELD, f"{place} {problem}")
