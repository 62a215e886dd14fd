"""Deployments: since when, and until when, an artifact runs in an environment."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from domain.environments.artifacts import Difference, Instances, diff


@dataclass(frozen=True, slots=True)
class Deployment:
    """An artifact that runs, or ran, in an environment from one snapshot until another one.

    `tag` is the one with which it began. `replaced` is the digest of the version that it took the place of, if any.
    `removed_n` and `removed_at` are None while it runs.
    """

    id: UUID
    org_id: UUID
    environment_id: UUID
    name: str
    digest: str
    tag: str | None
    replaced: str | None
    deployed_n: int
    deployed_at: datetime
    removed_n: int | None
    removed_at: datetime | None


def deployed(before: Instances, after: Instances) -> Iterator[Difference]:
    """Return the artifacts that began or ceased to run, or took the place of another version."""
    names = {one.name for one in before.keys() ^ after.keys()}
    found = diff(_named(names, before), _named(names, after))
    yield from (*found.removed, *found.updated, *found.added)


def _named(names: Iterable[str], instances: Instances) -> Instances:
    return {artifact: count for artifact, count in instances.items() if artifact.name in names}
