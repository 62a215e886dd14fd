"""Replaying the changes of an environment's snapshots: what ran in which of them, and what was deployed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import asyncpg

from domain.environments.artifacts import Difference, Instances, Running
from domain.environments.deployments import deployed
from domain.environments.snapshots import ChangedSnapshot, replayed
from storage.database import Row
from storage.environments.commands.deployments import begun_row


@dataclass(frozen=True, slots=True)
class Replayed:
    """Rows of `running` and `deployments` to which nothing happens any more; `begun` are ids of all that began."""

    running: list[Row] = field(default_factory=list)
    deployments: list[Row] = field(default_factory=list)
    begun: list[UUID] = field(default_factory=list)


class Replay:
    """What runs after the snapshots that were replayed so far, and since when.

    It holds what runs at one moment, however many snapshots there were.
    """

    def __init__(self) -> None:
        self._running: dict[str, dict[Running, tuple[int, int]]] = {}  # by name: the count, and the first snapshot
        self._deployments: dict[tuple[str, str], dict[str, Any]] = {}

    def replay(self, snapshots: Sequence[ChangedSnapshot], *, are_last: bool) -> Replayed:
        """Replay the next snapshots that change something and return the rows of what ended with one of them.

        With the last ones, the rows of what still runs are returned, too.
        """
        found = Replayed()
        for snapshot in snapshots:
            before = self._instances({change.artifact.name for change in snapshot.changes})
            found.running.extend(self._change(snapshot))
            for difference in deployed(before, replayed(before, snapshot.changes)):
                found.deployments.extend(self._end(snapshot, difference))
                found.begun.extend(self._begin(snapshot, difference))
        if are_last:
            found.running.extend(self._open())
            found.deployments.extend(self._deployments.values())
        return found

    def _instances(self, names: set[str]) -> Instances:
        """Return what runs under these names."""
        return {artifact: count for name in names for artifact, (count, _) in self._running.get(name, {}).items()}

    def _change(self, snapshot: ChangedSnapshot) -> Iterator[Row]:
        """Change what runs, and return the intervals that this ends."""
        for artifact, _, count in snapshot.changes:
            intervals = self._running.setdefault(artifact.name, {})
            if artifact in intervals:
                yield _interval(artifact, *intervals.pop(artifact), snapshot.n)
            if count:
                intervals[artifact] = count, snapshot.n
            elif not intervals:
                del self._running[artifact.name]

    def _open(self) -> Iterator[Row]:
        for intervals in self._running.values():
            for artifact, (count, since) in intervals.items():
                yield _interval(artifact, count, since, None)

    def _end(self, snapshot: ChangedSnapshot, difference: Difference) -> Iterator[Row]:
        if difference.before:
            row = self._deployments.pop((difference.name, difference.before.digest))
            yield {**row, "removed_n": snapshot.n, "removed_at": snapshot.created_at}

    def _begin(self, snapshot: ChangedSnapshot, difference: Difference) -> Iterator[UUID]:
        if difference.after:
            place = {"deployed_n": snapshot.n, "deployed_at": snapshot.created_at}
            row = {
                **begun_row(snapshot.id, snapshot.created_at, difference),
                **place,
                "removed_n": None,
                "removed_at": None,
            }
            self._deployments[difference.name, difference.after.digest] = row
            yield row["id"]


def _interval(artifact: Running, count: int, since: int, until: int | None) -> Row:
    return {**artifact._asdict(), "count": count, "during": asyncpg.Range(since, until)}
