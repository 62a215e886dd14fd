"""Snapshots: what ran in an environment at one moment, numbered from 1 in each environment."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from domain.environments.artifacts import Instances, Running, counted

MAX_ARTIFACTS = 10_000
"""Different artifacts of one snapshot."""


@dataclass(frozen=True, slots=True)
class NewSnapshot:
    """What is reported to run now.

    `instances` are those within the environment's scope, as it is in `environment_version`. `claimed_by` is the reporter
    that the request names: shown, never trusted.
    """

    environment_id: UUID
    environment_version: int
    instances: Instances
    claimed_by: str | None = None
    scope_label: str | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A recorded snapshot; `n` is its number. `changes` is what is different from the one before."""

    id: UUID
    org_id: UUID
    environment_id: UUID
    n: int
    environment_version: int
    content: bytes
    artifacts: int
    changes: Sequence["Change"]
    claimed_by: str | None
    scope_label: str | None
    recorded_by: UUID
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Change:
    """How many instances of an artifact ran before, and how many run after."""

    artifact: Running
    before: int
    after: int

    def to_json(self) -> list[Any]:
        """Return the stored form."""
        return [*self.artifact, self.before, self.after]

    @classmethod
    def of_json(cls, stored: Sequence[Any]) -> "Change":
        """Read the stored form."""
        name, digest, tag, before, after = stored
        return cls(Running(name, digest, tag), before, after)


def changes_between(before: Instances, after: Instances) -> list[Change]:
    """Return the artifacts whose number of instances is another one, in a fixed order."""
    changed = [one for one in before.keys() | after.keys() if before.get(one, 0) != after.get(one, 0)]
    return [
        Change(one, before.get(one, 0), after.get(one, 0))
        for one in sorted(changed, key=lambda one: (one.name, one.digest, one.tag or ""))
    ]


def replayed(changes: Sequence[Change], onto: Instances) -> Mapping[Running, int]:
    """Return what runs after these changes."""
    kept = [(one, count) for one, count in onto.items()]
    found = dict(counted(kept))
    for change in changes:
        found.pop(change.artifact, None)
        if change.after:
            found[change.artifact] = change.after
    return found
