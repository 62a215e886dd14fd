"""Reports what runs, as the reporters of many hosts would: every environment once a minute, of simulated time.

`python -m tests.bench.reporter DATABASE_URL DATA_DIR MINUTES` reports all environments of the database, on cue.
"""

import asyncio
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import uvloop

from domain.audit.events import Actor
from domain.environments.artifacts import Instances
from domain.environments.snapshots import Report
from domain.identity.permissions import DEFAULT_ORGANISATION
from domain.tenant import Tenant
from storage.database import Database
from storage.environments.commands.snapshots import record_snapshot
from storage.settings import Settings
from tests.bench.cue import on_cue
from tests.bench.fleet import CONNECTIONS, opened, runs
from tests.storage.shifted import ShiftedClock

PERIOD = 60
"""Minutes from one change in an environment to the next: one of so many reports has a change, of one artifact."""
_ENVIRONMENTS = """
SELECT e.id, e.org_id, v.created_by FROM environments e
JOIN environment_versions v ON v.environment_id = e.id AND v.version = e.version ORDER BY e.name
"""


@dataclass(frozen=True, slots=True)
class Reported:
    """An environment with what runs in it after each number of changes, and after one more, which is only rehearsed.

    `phase` is where in its period it begins.
    """

    id: UUID
    tenant: Tenant
    reporter: Actor
    phase: int
    states: Sequence[Instances]

    def at(self, minute: int) -> Report:
        """What is reported in this minute."""
        return Report(self.id, self.states[_changes(self.phase, minute)])


def _changes(phase: int, minute: int) -> int:
    return (phase + minute) // PERIOD


async def main(settings: Settings, minutes: int) -> None:
    """Report when told to, over connections that are open by then and have prepared their statements."""
    async with opened(settings) as database:
        environments = await _environments(database, minutes)
        all_connected = asyncio.Barrier(CONNECTIONS)
        await asyncio.gather(*(_rehearse(database, one, all_connected) for one in environments[:CONNECTIONS]))
        await on_cue(lambda: _report(database, environments, minutes))


async def _rehearse(database: Database, one: Reported, all_connected: asyncio.Barrier) -> None:
    """Report a change on a connection of its own, where the statements are prepared thereby, and undo it."""
    async with database.transaction(dry_run=True) as tx:
        await all_connected.wait()
        await record_snapshot(tx, one.tenant, Report(one.id, one.states[-1]), one.reporter)


async def _environments(database: Database, minutes: int) -> list[Reported]:
    async with database.read() as reader:
        rows = await reader.rows(_ENVIRONMENTS)
    return [
        Reported(
            row["id"],
            Tenant(row["org_id"], DEFAULT_ORGANISATION),
            Actor(row["created_by"]),
            number % PERIOD,
            [runs(number, changes) for changes in range(_changes(number % PERIOD, minutes) + 2)],
        )
        for number, row in enumerate(rows)
    ]


async def _report(database: Database, environments: Sequence[Reported], minutes: int) -> None:
    for minute in range(1, minutes + 1):
        then = replace(database, clock=ShiftedClock(database.clock, timedelta(minutes=minute)))
        waiting = iter(environments)
        await asyncio.gather(*(_report_in_turn(then, waiting, minute) for _ in range(CONNECTIONS)))


async def _report_in_turn(database: Database, waiting: Iterator[Reported], minute: int) -> None:
    for one in waiting:
        async with database.transaction() as tx:
            await record_snapshot(tx, one.tenant, one.at(minute), one.reporter)


if __name__ == "__main__":
    uvloop.run(main(Settings(database_url=sys.argv[1], data_dir=Path(sys.argv[2])), int(sys.argv[3])))
