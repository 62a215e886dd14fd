"""Checking environments that no report checks: those that fell silent, and those whose allow-list expires."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from uuid import UUID

import structlog

from domain.tenant import Tenant
from storage.database import Transaction
from storage.environments.commands.staleness import Checked, mark_stale, recheck_drift, waiting_environments
from storage.services import Services

log = structlog.get_logger()

BATCH = 100
"""Environments of one transaction."""
ROUND = 1000
"""Environments that are looked up at once."""

Step = Callable[[Transaction, Tenant, Sequence[UUID]], Awaitable[None]]
_STEPS: Mapping[Checked, Step] = {"due_at": mark_stale, "recheck_at": recheck_drift}


async def check_environments(services: Services) -> None:
    """Mark what is stale and compare what is due, a batch of one organisation in each transaction.

    A batch that fails is tried again by the next sweep, and keeps no other organisation waiting.
    """
    failures = [error for column, step in _STEPS.items() for error in await _check_all(services, column, step)]
    if failures:
        raise failures[0]


async def _check_all(services: Services, column: Checked, step: Step) -> list[Exception]:
    """Check every environment whose time has come by now; return the errors of batches that failed."""
    failures: list[Exception] = []
    seen: set[UUID] = set()
    while True:
        async with services.database.read() as reader:
            waiting = await waiting_environments(reader, column, services.clock.now(), ROUND + len(seen))
        new = {tenant: [one for one in ids if one not in seen] for tenant, ids in waiting.items()}
        if not any(new.values()):
            return failures
        for tenant, ids in new.items():
            failures += await _check(services, step, tenant, ids)
            seen.update(ids)


async def _check(services: Services, step: Step, tenant: Tenant, ids: Sequence[UUID]) -> list[Exception]:
    """Check environments of one organisation, batch by batch, until one fails; return its error."""
    try:
        for start in range(0, len(ids), BATCH):
            async with services.database.transaction() as tx:
                await step(tx, tenant, ids[start : start + BATCH])
    except Exception as error:  # noqa: BLE001 - whatever it was, other organisations are checked all the same
        log.warning("environments.not_checked", organisation=tenant.org_slug, error=type(error).__name__)
        return [error]
    return []
