"""Snapshots: what ran in an environment at one moment, numbered from 1 in each environment."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from domain.environments.artifacts import Instances, Running
from domain.environments.environments import Scope
from domain.errors import TooLarge
from domain.patterns import MAX_MATCHING

MAX_ARTIFACTS = 10_000
"""Different artifacts of one snapshot."""


@dataclass(frozen=True, slots=True)
class Report:
    """What is reported to run now. What is outside the environment's scope does not count.

    `claimed_by` is the reporter that the request names: shown, never trusted. `scope_label` is its name for the part of
    the environment that it sees. With `only_changes`, a report of what is known to run makes no snapshot.
    """

    environment_id: UUID
    instances: Instances
    claimed_by: str | None = None
    scope_label: str | None = None
    only_changes: bool = False


class Change(NamedTuple):
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


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A recorded snapshot; `n` is its number, `artifacts` how many different ones run.

    `changed` is how many of them are unlike in the snapshot before. `reporter` is the claimed reporter, or else the
    name of the principal that sent the report.
    """

    id: UUID
    org_id: UUID
    environment_id: UUID
    n: int
    environment_version: int
    artifacts: int
    changed: int
    reporter: str
    scope_label: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class ChangedSnapshot:
    """A snapshot that changes something, with what is different from the one before."""

    id: UUID
    n: int
    changes: Sequence[Change]
    created_at: datetime


def within(scope: Scope, instances: Instances) -> Instances:
    """Return the instances of artifacts that count. Raises TooLarge for more names than its patterns are tried for."""
    if not scope:
        return instances
    names = {artifact.name for artifact in instances}
    if len(names) * scope.program > MAX_MATCHING:
        most = MAX_MATCHING // scope.program
        raise TooLarge(f"artifacts: {len(names)} names; with the patterns of its scope, the environment takes {most}")
    admitted = {name for name in names if scope.admits(name)}
    return {artifact: count for artifact, count in instances.items() if artifact.name in admitted}


def changes_between(before: Instances, after: Instances) -> list[Change]:
    """Return the artifacts whose number of instances is another one, in a fixed order."""
    changed = [one for one in before.keys() | after.keys() if before.get(one, 0) != after.get(one, 0)]
    return [
        Change(one, before.get(one, 0), after.get(one, 0))
        for one in sorted(changed, key=lambda one: (one.name, one.digest, one.tag is not None, one.tag or ""))
    ]


def replayed(instances: Instances, changes: Sequence[Change]) -> Instances:
    """Return what runs after these changes."""
    after = {**instances, **{change.artifact: change.after for change in changes}}
    return {artifact: count for artifact, count in after.items() if count}
