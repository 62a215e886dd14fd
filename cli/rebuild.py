"""`trailgate rebuild`: rebuild derived rows from facts, one organisation after the other, while the API runs."""

import asyncio
from enum import StrEnum
from functools import partial
from typing import Annotated

import typer

from cli.installation import located, opened, read_settings
from cli.output import progress, say
from domain.identity.organisations import Organisation
from storage.counters import fold
from storage.database import Database
from storage.environments.rebuild import rebuild_environments
from storage.facts.rebuild import COUNTS, rebuild_edges, rebuild_latest_results
from storage.gates.rebuild import rebuild_approvals, rebuild_scan_days
from storage.identity.queries.organisations import every_organisation
from storage.ledger.rebuild import rebuild_tiles
from storage.rebuild import CORE_COUNTS, Progress, Rebuild, rebuild_counters
from storage.settings import Settings


class Derived(StrEnum):
    """Kinds of derived rows."""

    LATEST_RESULTS = "latest-results"
    COUNTERS = "counters"
    TILES = "tiles"
    EDGES = "edges"
    ENVIRONMENTS = "environments"
    APPROVALS = "approvals"
    SCAN_DAYS = "scan-days"
    ALL = "all"


REBUILDS: dict[Derived, Rebuild] = {
    Derived.LATEST_RESULTS: rebuild_latest_results,
    Derived.COUNTERS: partial(rebuild_counters, counts=(*CORE_COUNTS, *COUNTS)),
    Derived.TILES: rebuild_tiles,
    Derived.EDGES: rebuild_edges,
    Derived.ENVIRONMENTS: rebuild_environments,
    Derived.APPROVALS: rebuild_approvals,
    Derived.SCAN_DAYS: rebuild_scan_days,
}

_FOLD_BATCH = 5000


def rebuild(
    derived: Annotated[
        Derived,
        typer.Argument(
            help="latest-results includes the status of trails, environments what ran in each snapshot, "
            "scan-days the sums of security scans.",
            show_default=False,
        ),
    ],
) -> None:
    """Rebuild derived rows from the facts, and print how many were wrong."""
    with located(read_settings()) as settings:
        asyncio.run(_rebuild(settings, list(REBUILDS) if derived is Derived.ALL else [derived]))


async def _rebuild(settings: Settings, wanted: list[Derived]) -> None:
    async with opened(settings) as database:
        async with database.read() as reader:
            organisations = await every_organisation(reader)
        for organisation in organisations:
            for derived in wanted:
                await _rebuild_one(database, organisation, derived)
        if Derived.COUNTERS in wanted:
            await _fold(database)


async def _rebuild_one(database: Database, organisation: Organisation, derived: Derived) -> None:
    done = Progress(0, 0)
    with progress(f"{organisation.slug}: {derived}") as advance:
        async for done in REBUILDS[derived](database, organisation.tenant):
            advance(done.seen)
    say(f"{organisation.slug}: {derived}: {done.seen} checked, {done.mended} repaired")


async def _fold(database: Database) -> None:
    folded = _FOLD_BATCH
    while folded == _FOLD_BATCH:
        async with database.transaction() as tx:
            folded = await fold(tx, _FOLD_BATCH)
