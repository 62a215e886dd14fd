"""Requirements of flows and trails: the one compiled form of type lists and of both template dialects."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

ANY_TYPE = "*"


@dataclass(frozen=True, slots=True)
class Requirement:
    """An attestation that must have PASSED, of a type and optionally with a name; `condition` says when it applies.

    `type` may be `*`, which means any type.
    """

    type: str
    name: str | None = None
    condition: str | None = None

    @property
    def label(self) -> str:
        """Its name, else its type."""
        return self.name if self.name is not None else self.type


@dataclass(frozen=True, slots=True)
class ArtifactSlot:
    """An artifact that must be reported under this name, and the attestations that each such artifact must have."""

    name: str
    requirements: tuple[Requirement, ...] = ()


@dataclass(frozen=True, slots=True)
class RequirementSet:
    """All requirements: those of the trail as a whole, and those of its artifacts by name.

    A set with a `problem` could not be read; with it nothing is compliant.
    """

    trail: tuple[Requirement, ...] = ()
    artifacts: tuple[ArtifactSlot, ...] = ()
    problem: str | None = None

    @classmethod
    def of_types(cls, types: Sequence[str]) -> "RequirementSet":
        """Make the requirements of a flow's plain list of types."""
        return cls(tuple(Requirement(kind) for kind in dict.fromkeys(types)))

    def to_json(self) -> dict[str, Any]:
        """Return the form that is stored with the template text."""
        return {
            "trail": [_written(one) for one in self.trail],
            "artifacts": [
                {"name": slot.name, "attestations": [_written(one) for one in slot.requirements]}
                for slot in self.artifacts
            ],
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "RequirementSet":
        """Read what `to_json` returned; for anything else, return a set with a `problem`."""
        try:
            slots = (
                ArtifactSlot(slot["name"], tuple(map(_read, slot["attestations"]))) for slot in stored["artifacts"]
            )
            return cls(tuple(map(_read, stored["trail"])), tuple(slots))
        except (KeyError, TypeError, AttributeError):
            return cls(problem="the stored template cannot be read")


@dataclass(frozen=True, slots=True)
class Template:
    """A template: its original text and its requirements."""

    text: str
    requirements: RequirementSet


def _written(requirement: Requirement) -> dict[str, Any]:
    return {"type": requirement.type, "name": requirement.name, "if": requirement.condition}


def _read(stored: Mapping[str, Any]) -> Requirement:
    return Requirement(stored["type"], stored["name"], stored["if"])
