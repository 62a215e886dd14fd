"""Working off what is due by the clock alone: every step for all rows whose time has come, batch by batch."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import TypeVar
from uuid import UUID

import structlog

from domain.tenant import Tenant
from storage.database import Reader, Transaction
from storage.services import Services

log = structlog.get_logger()

BATCH = 100
"""Rows of one transaction."""
ROUND = 1000
"""Rows that are looked up at once."""

Column = TypeVar("Column", bound=str)
Step = Callable[[Transaction, Tenant, Sequence[UUID]], Awaitable[None]]
"""Does what is due with those of the rows whose time has come and that nobody else has locked."""
Waiting = Callable[[Reader, Column, datetime, int], Awaitable[Mapping[Tenant, Sequence[UUID]]]]
"""Returns rows whose time in a column has come, by organisation, those first that have waited longest."""


async def work_off(
    services: Services, waiting: Waiting[Column], steps: Mapping[Column, Step], *, complaint: str
) -> None:
    """Take every step, in their order, for the rows that are due in its column.

    A batch that fails is logged as a `complaint` and tried again by the next sweep; it keeps no other organisation
    waiting. Raises the first of these errors at the end.
    """
    failures: list[Exception] = []
    for column, step in steps.items():
        failures += await _work_off(services, waiting, column, step, complaint)
    if failures:
        raise failures[0]


async def _work_off(
    services: Services, waiting: Waiting[Column], column: Column, step: Step, complaint: str
) -> list[Exception]:
    """Take one step for every row whose time has come by now; return the errors of batches that failed."""
    failures: list[Exception] = []
    seen: set[UUID] = set()
    while True:
        async with services.database.read() as reader:
            found = await waiting(reader, column, services.clock.now(), ROUND + len(seen))
        new = {tenant: [one for one in ids if one not in seen] for tenant, ids in found.items()}
        if not any(new.values()):
            return failures
        for tenant, ids in new.items():
            failures += await _of_organisation(services, step, tenant, ids, complaint)
            seen.update(ids)


async def _of_organisation(
    services: Services, step: Step, tenant: Tenant, ids: Sequence[UUID], complaint: str
) -> list[Exception]:
    """Take a step for rows of one organisation, batch by batch, until one fails; return its error."""
    try:
        for start in range(0, len(ids), BATCH):
            async with services.database.transaction() as tx:
                await step(tx, tenant, ids[start : start + BATCH])
    except Exception as error:  # noqa: BLE001 - whatever it was, other organisations get their turn all the same
        log.warning(complaint, organisation=tenant.org_slug, error=type(error).__name__)
        return [error]
    return []
