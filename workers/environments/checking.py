"""Checking environments that no report checks: those that fell silent, and those whose allow-list expires."""

from collections.abc import Awaitable, Callable

from storage.database import Database, Transaction
from storage.environments.commands.staleness import mark_stale, recheck_drift
from storage.services import Services

BATCH = 100
"""Environments of one transaction."""


async def check_environments(services: Services) -> None:
    """Mark what is stale and compare what is due, one batch per transaction, until less than a batch is left."""
    for step in (mark_stale, recheck_drift):
        await _all(services.database, step)


async def _all(database: Database, step: Callable[[Transaction, int], Awaitable[int]]) -> None:
    found = BATCH
    while found == BATCH:
        async with database.transaction() as tx:
            found = await step(tx, BATCH)
