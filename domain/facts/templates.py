"""Templates: the requirements of a flow or a trail in YAML, in two dialects with one compiled form.

OpenFactstore's dialect is lenient: it ignores unknown keys and accepts any type. Kosli's is strict. Both refuse what
they cannot read: a requirement that was silently dropped would count as satisfied.
"""

from collections.abc import Iterable
from typing import Any

import yaml

from domain.facts.documents import MAX_REQUIREMENTS, DocumentParser, given, read_document
from domain.facts.flows import Flow
from domain.facts.requirements import ArtifactSlot, Requirement, RequirementSet, Template

FIELD = "templateYaml"
MAX_ARTIFACTS = 200

_VERSION = 1
_ROOT = frozenset({"version", "trail"})
_LENIENT_ROOT = _ROOT | {"artifacts", "requiredAttestations"}
_TRAIL = frozenset({"attestations", "artifacts"})
_ARTIFACT = frozenset({"name", "attestations"})
_ATTESTATION = frozenset({"name", "type"})


def parse_template(text: str, *, strict: bool = False) -> Template:
    """Parse a template, in Kosli's dialect if `strict`, otherwise in OpenFactstore's.

    Raises Invalid, naming the field and the place in it: `templateYaml: trail.attestations[2].name must not be blank`.
    """
    return Template(text, _TemplateParser(FIELD, "template", strict=strict).requirements(template_document(text)))


def template_document(text: str) -> Any:
    """Parse a template into plain maps and lists, with all its keys. Raises Invalid if it is not YAML."""
    return read_document(text, FIELD)


def written_template(flow: Flow) -> str:
    """Write the template equivalent to the type list of a flow that has no template."""
    document = {
        "name": flow.name,
        "description": flow.description,
        "requiredAttestations": flow.required_types,
        "tags": flow.tags,
    }
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=120)


class _TemplateParser(DocumentParser):
    """A parser for one template of either dialect. Only Kosli's refuses unknown keys."""

    def requirements(self, document: Any) -> RequirementSet:
        root = self._map(document, "the document", _ROOT)
        if root and not root.keys() & _LENIENT_ROOT:
            raise self.refused("the document", f"has none of the keys {', '.join(sorted(_LENIENT_ROOT))}")
        self._check_version(root.get("version"))
        trail = self._map(given(root, "trail", {}), "trail", _TRAIL)
        own = self._attestations(trail.get("attestations"), "trail.attestations")
        types = self._types(root.get("requiredAttestations"))
        if trail.get("artifacts") is None and not self._strict:
            return RequirementSet((*own, *types), self._slots(root.get("artifacts"), "artifacts"))
        return RequirementSet((*own, *types), self._slots(trail.get("artifacts"), "trail.artifacts"))

    def _check_version(self, version: Any) -> None:
        if self._strict and version is not None and (version != _VERSION or isinstance(version, bool)):
            raise self.refused("version", f"must be {_VERSION}")
        if isinstance(version, dict | list):
            raise self.refused("version", "must be a number")

    def _types(self, entries: Any) -> Iterable[Requirement]:
        place = "requiredAttestations"
        names = [self.text(entry, f"{place}[{n}]") for n, entry in enumerate(self.list(entries, place))]
        types = RequirementSet.of_types(names).trail
        self.spend(len(types), "attestations", MAX_REQUIREMENTS, place)
        return types

    def _slots(self, entries: Any, place: str) -> tuple[ArtifactSlot, ...]:
        slots = tuple(self._slot(entry, f"{place}[{n}]") for n, entry in enumerate(self.list(entries, place)))
        self.check_unique([slot.name for slot in slots], place)
        return slots

    def _slot(self, entry: Any, place: str) -> ArtifactSlot:
        artifact = self._map(entry, place, _ARTIFACT)
        self.spend(1, "artifacts", MAX_ARTIFACTS, place)
        name = self.text(artifact.get("name"), f"{place}.name")
        return ArtifactSlot(name, self._attestations(artifact.get("attestations"), f"{place}.attestations"))

    def _attestations(self, entries: Any, place: str) -> tuple[Requirement, ...]:
        asked = tuple(self._attestation(entry, f"{place}[{n}]") for n, entry in enumerate(self.list(entries, place)))
        self.check_unique([one.label for one in asked], place)
        return asked

    def _attestation(self, entry: Any, place: str) -> Requirement:
        attestation = self._map(entry, place, _ATTESTATION)
        self.spend(1, "attestations", MAX_REQUIREMENTS, place)
        name = self.text(attestation.get("name"), f"{place}.name")
        kind = self.type(attestation.get("type"), f"{place}.type")
        return Requirement(kind, name, self.condition(attestation.get("if"), f"{place}.if"))

    def _map(self, value: Any, place: str, keys: frozenset[str]) -> Any:
        return self.map(value, place, keys, closed=self._strict)
