"""What a flow asks for, in the one compiled form of types lists and templates (facts.md 4, 8.3; kosli-v2.md 8)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

ANY_TYPE = "*"


@dataclass(frozen=True, slots=True)
class Requirement:
    """An attestation that must have PASSED. Without a name any of that type will do; `condition` says when it applies.

    `type` may be `*`: then the name alone decides.
    """

    type: str
    name: str | None = None
    condition: str | None = None

    @property
    def label(self) -> str:
        """What a person calls it: its name, else its type."""
        return self.name if self.name is not None else self.type


@dataclass(frozen=True, slots=True)
class ArtifactSlot:
    """An artifact that must be reported under this name, and what each such artifact must carry."""

    name: str
    requirements: tuple[Requirement, ...] = ()


@dataclass(frozen=True, slots=True)
class RequirementSet:
    """Everything that is asked for: of the trail as a whole, and of its artifacts by name.

    With a `problem` it cannot be read, and nothing is compliant by it.
    """

    trail: tuple[Requirement, ...] = ()
    artifacts: tuple[ArtifactSlot, ...] = ()
    problem: str | None = None

    @classmethod
    def of_types(cls, types: Sequence[str]) -> "RequirementSet":
        """A flow's plain list of types."""
        return cls(tuple(Requirement(kind) for kind in dict.fromkeys(types)))

    def to_json(self) -> dict[str, Any]:
        """As it is stored beside the text it was compiled from."""
        return {
            "trail": [_written(one) for one in self.trail],
            "artifacts": [
                {"name": slot.name, "attestations": [_written(one) for one in slot.requirements]}
                for slot in self.artifacts
            ],
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "RequirementSet":
        """What `to_json` wrote; anything else makes a set with a problem."""
        try:
            slots = (
                ArtifactSlot(slot["name"], tuple(map(_read, slot["attestations"]))) for slot in stored["artifacts"]
            )
            return cls(tuple(map(_read, stored["trail"])), tuple(slots))
        except (KeyError, TypeError, AttributeError):
            return cls(problem="the stored template cannot be read")


@dataclass(frozen=True, slots=True)
class Template:
    """A template as it was sent, and what it asks for."""

    text: str
    requirements: RequirementSet


def _written(requirement: Requirement) -> dict[str, Any]:
    return {"type": requirement.type, "name": requirement.name, "if": requirement.condition}


def _read(stored: Mapping[str, Any]) -> Requirement:
    return Requirement(stored["type"], stored["name"], stored["if"])
