"""Rules: the one compiled form of the flags, the type lists and the YAML of every policy."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

from domain.facts.requirements import Requirement


class Check(StrEnum):
    """What a rule looks at."""

    ATTESTATION = "attestation"
    PROVENANCE = "provenance"
    VERIFIED_PROVENANCE = "verified-provenance"
    SIGNATURE = "signature"
    APPROVAL = "approval"
    TRAIL_COMPLIANCE = "trail-compliance"
    SECURITY_SCANS = "security-scans"
    OPA = "opa"


@dataclass(frozen=True, slots=True)
class Rule:
    """Something that must be true of an artifact, except where a condition in `exceptions` holds.

    A rule about an attestation has a `requirement`, which may have a condition of its own; unless `must_pass`, any
    result of it will do. A rule for OPA names the `bundle` that decides.
    """

    check: Check
    requirement: Requirement | None = None
    must_pass: bool = True
    exceptions: tuple[str, ...] = ()
    bundle: str | None = None

    @property
    def conditions(self) -> int:
        """The number of its conditions."""
        conditional = self.requirement is not None and self.requirement.condition is not None
        return len(self.exceptions) + conditional


@dataclass(frozen=True, slots=True)
class RuleSet:
    """The rules of one version of a policy. One with a `problem` could not be read; it lets nothing through."""

    rules: tuple[Rule, ...] = ()
    problem: str | None = None

    def to_json(self) -> list[dict[str, Any]]:
        """Return the form that is stored with the policy."""
        return [_written(rule) for rule in self.rules]

    @classmethod
    def from_json(cls, stored: Any) -> Self:
        """Read what `to_json` returned; for anything else, return a set with a `problem`."""
        try:
            return cls(tuple(map(_read, _of_type(stored, list))))
        except (KeyError, TypeError, ValueError):
            return cls(problem="the stored rules cannot be read")


def _written(rule: Rule) -> dict[str, Any]:
    required = rule.requirement
    return {
        "check": rule.check.value,
        "type": required.type if required else None,
        "name": required.name if required else None,
        "if": required.condition if required else None,
        "mustPass": rule.must_pass,
        "exceptions": list(rule.exceptions),
        "bundle": rule.bundle,
    }


def _read(stored: Mapping[str, Any]) -> Rule:
    check = Check(stored["check"])
    requirement = None
    if check is Check.ATTESTATION:
        name, condition = _of_type(stored["name"], str | None), _of_type(stored["if"], str | None)
        requirement = Requirement(_of_type(stored["type"], str), name, condition)
    exceptions = tuple(_of_type(one, str) for one in _of_type(stored["exceptions"], list))
    bundle = _of_type(stored["bundle"], str if check is Check.OPA else str | None)
    return Rule(check, requirement, _of_type(stored["mustPass"], bool), exceptions, bundle)


def _of_type(value: Any, kind: Any) -> Any:
    """Return a stored value. Raises TypeError unless it is of this type."""
    if not isinstance(value, kind):
        raise TypeError(f"{value!r} is not of the type {kind}")
    return value
