"""Policy files: rules in YAML, in the form that Kosli introduced.

    _schema: https://kosli.com/schemas/policy/environment/v1
    artifacts:
      provenance:
        required: true
        exceptions:
          - if: matches(artifact.name, "^registry.example.com/base/")
      trail-compliance:
        required: true
      attestations:
        - {type: junit}
        - {name: pen-test, type: custom:pen-test, if: flow.tags.tier == "gold", must_be_compliant: false}

Trailgate also reads `signature`, `approval` and `security-scans`, which are written like `trail-compliance`, `verified`
in `provenance`, and `exceptions` in an attestation. An unknown key is refused in every dialect: a misspelt rule would
be no rule.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from domain.facts.documents import MAX_REQUIREMENTS, DocumentParser, given, read_document
from domain.facts.requirements import ANY_TYPE, Requirement
from domain.gates.rules import Check, Rule

FIELD = "policyYaml"

_ROOT = frozenset({"_schema", "artifacts"})
_STRICT_ARTIFACTS = frozenset({"provenance", "trail-compliance", "attestations"})
_ARTIFACTS = _STRICT_ARTIFACTS | {"signature", "approval", "security-scans"}
_SECTIONS = {
    "trail-compliance": Check.TRAIL_COMPLIANCE,
    "signature": Check.SIGNATURE,
    "approval": Check.APPROVAL,
    "security-scans": Check.SECURITY_SCANS,
}
_SECTION = frozenset({"required", "exceptions"})
_STRICT_RULE = frozenset({"name", "type", "if", "must_be_compliant"})
_RULE = _STRICT_RULE | {"exceptions"}


def parse_policy_document(text: str, *, strict: bool = False) -> tuple[Rule, ...]:
    """Parse a policy file, as Kosli's dialect does if `strict`: it needs `_schema` and knows no further keys.

    Raises Invalid, naming the field and the place in it.
    """
    return tuple(_PolicyParser(FIELD, "policy", strict=strict).rules(read_document(text, FIELD)))


class _PolicyParser(DocumentParser):
    """A parser for one policy file."""

    def rules(self, document: Any) -> Iterator[Rule]:
        root = self.map(document, "the document", _ROOT, closed=True)
        self._check_schema(root.get("_schema"))
        keys = _STRICT_ARTIFACTS if self._strict else _ARTIFACTS
        artifacts = self.map(given(root, "artifacts", {}), "artifacts", keys, closed=True)
        yield from self._provenance(artifacts)
        for name, check in _SECTIONS.items():
            required, exceptions, _ = self._section(artifacts, name, _SECTION)
            if required:
                yield Rule(check, exceptions=exceptions)
        place = "artifacts.attestations"
        for n, entry in enumerate(self.list(artifacts.get("attestations"), place)):
            yield self._attestation(entry, f"{place}[{n}]")

    def _check_schema(self, schema: Any) -> None:
        if schema is not None and not isinstance(schema, str):
            raise self.refused("_schema", "must be a string")
        if self._strict and not (schema or "").endswith("/v1"):
            raise self.refused("_schema", "must be the address of version 1, which ends with /v1")

    def _provenance(self, artifacts: Mapping[str, Any]) -> Iterator[Rule]:
        keys = _SECTION if self._strict else _SECTION | {"verified"}
        required, exceptions, section = self._section(artifacts, "provenance", keys)
        verified = self.flag(section.get("verified"), "artifacts.provenance.verified", default=False)
        if required or verified:
            yield Rule(Check.VERIFIED_PROVENANCE if verified else Check.PROVENANCE, exceptions=exceptions)

    def _section(
        self, artifacts: Mapping[str, Any], name: str, keys: frozenset[str]
    ) -> tuple[bool, tuple[str, ...], Mapping[str, Any]]:
        """Return whether something is required, where it is not, and the whole section."""
        place = f"artifacts.{name}"
        section = self.map(given(artifacts, name, {}), place, keys, closed=True)
        required = self.flag(section.get("required"), f"{place}.required", default=False)
        return required, self._exceptions(section, place), section

    def _exceptions(self, section: Mapping[str, Any], place: str) -> tuple[str, ...]:
        place = f"{place}.exceptions"
        return tuple(
            self._exception(entry, f"{place}[{n}]")
            for n, entry in enumerate(self.list(section.get("exceptions"), place))
        )

    def _exception(self, entry: Any, place: str) -> str:
        condition = self.condition(self.map(entry, place, frozenset({"if"}), closed=True).get("if"), f"{place}.if")
        if condition is None:
            raise self.refused(place, "needs an if")
        self.spend(1, "exceptions", MAX_REQUIREMENTS, place)
        return condition

    def _attestation(self, entry: Any, place: str) -> Rule:
        rule = self.map(entry, place, _STRICT_RULE if self._strict else _RULE, closed=True)
        self.spend(1, "attestations", MAX_REQUIREMENTS, place)
        if self._strict and rule.get("type") is None:
            raise self.refused(f"{place}.type", "must not be blank")
        kind, name = self.type(rule.get("type"), f"{place}.type"), self._name(rule.get("name"), f"{place}.name")
        if kind == ANY_TYPE and name is None:
            raise self.refused(place, "needs a type or a name")
        required = Requirement(kind, name, self.condition(rule.get("if"), f"{place}.if"))
        must_pass = self.flag(rule.get("must_be_compliant"), f"{place}.must_be_compliant", default=True)
        return Rule(Check.ATTESTATION, required, must_pass, self._exceptions(rule, place))

    def _name(self, value: Any, place: str) -> str | None:
        """Return the name of an attestation; `*` stands for any."""
        name = None if value is None else self.text(value, place)
        return None if name == ANY_TYPE else name
