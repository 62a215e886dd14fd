"""Logical environments: several environments seen as one. Members are physical environments, or logical ones."""

from collections import deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypedDict
from uuid import UUID

from domain.environments.compliance import ComplianceState
from domain.errors import Conflict

MAX_MEMBERS = 1000
"""Members of one logical environment, and physical environments that a merged snapshot combines."""
MAX_LEVELS = 8
"""Logical environments in each other, the outermost one included."""


@dataclass(frozen=True, slots=True)
class NewLogicalEnvironment:
    """A logical environment to create."""

    name: str
    description: str = ""
    member_ids: Collection[UUID] = ()


class LogicalEnvironmentChange(TypedDict, total=False):
    """The fields of a logical environment to change; absent keys leave their fields unchanged."""

    name: str
    description: str
    member_ids: Collection[UUID]


@dataclass(frozen=True, slots=True)
class Member:
    """A member as it is now. `type` is that of a physical environment, or `logical`."""

    id: UUID
    name: str
    type: str
    added_at: datetime


@dataclass(frozen=True, slots=True)
class LogicalEnvironment:
    """A logical environment with its newest version. Members that were archived since are left out."""

    id: UUID
    org_id: UUID
    name: str
    version: int
    description: str
    members: Sequence[Member]
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class MemberSnapshot:
    """The latest snapshot of a physical environment, and its state; `n` and `recorded_at` are None before the first."""

    id: UUID
    name: str
    n: int | None
    recorded_at: datetime | None
    artifacts: int
    state: ComplianceState


@dataclass(frozen=True, slots=True)
class MergedSnapshot:
    """The latest snapshots of all physical environments that a logical one combines, each once, by name."""

    id: UUID
    name: str
    state: ComplianceState
    members: Sequence[MemberSnapshot]

    @property
    def artifacts(self) -> int:
        """How many artifacts run, those of each member counted by themselves."""
        return sum(member.artifacts for member in self.members)

    @property
    def places(self) -> list[tuple[UUID, int]]:
        """The snapshots, by environment and number."""
        return [(member.id, member.n) for member in self.members if member.n is not None]


@dataclass(frozen=True, slots=True)
class ArtifactGroup:
    """All instances of one digest. `names` and `tags` are some of those under which they run."""

    digest: str
    names: Sequence[str]
    tags: Sequence[str]
    count: int
    environments: int


Nesting = Mapping[UUID, Collection[UUID]]
"""Which logical environments are members of which."""


def check_nesting(nesting: Nesting, names: Mapping[UUID, str], changed: UUID) -> None:
    """Raise Conflict if a changed environment now contains itself, or if too many are in each other.

    `nesting` has everything above and below the changed one; without the change it has no cycle.
    """
    path = _path_back(nesting, changed)
    if path:
        chain = " → ".join(f"'{names[one]}'" for one in path)
        raise Conflict(f"The environment would contain itself: {chain}.", "state")
    levels = _levels(nesting, changed) + _levels(_reversed(nesting), changed) - 1
    if levels > MAX_LEVELS:
        message = f"There would be {levels} logical environments in each other; at most {MAX_LEVELS} may be."
        raise Conflict(message, "state")


def _path_back(nesting: Nesting, start: UUID) -> list[UUID]:
    """Return the shortest path from an environment through members to itself; an empty one if there is none."""
    found_in: dict[UUID, UUID] = {}
    waiting = deque([start])
    while waiting:
        one = waiting.popleft()
        for member in nesting.get(one, ()):
            if member == start:
                path = [start, one]
                while path[-1] != start:
                    path.append(found_in[path[-1]])
                return path[::-1]
            if member not in found_in:
                found_in[member] = one
                waiting.append(member)
    return []


def _levels(nesting: Nesting, start: UUID) -> int:
    """Return the length of the longest chain of members from an environment on, itself included."""
    levels, level = 0, {start}
    while level:
        levels += 1
        level = {member for one in level for member in nesting.get(one, ())}
    return levels


def _reversed(nesting: Nesting) -> Nesting:
    parents: dict[UUID, list[UUID]] = {}
    for parent, members in nesting.items():
        for member in members:
            parents.setdefault(member, []).append(parent)
    return parents
