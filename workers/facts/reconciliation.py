"""Reconciliation: compare a sender's list of deliveries with ours, and request again those that never arrived."""

import asyncio
from collections.abc import Iterable, Sequence
from datetime import timedelta

import structlog

from domain.errors import Rejected, Throttled, Upstream
from domain.facts.reconciliations import MAX_REQUESTS, TOKEN_PURPOSE, earliest
from integrations.github.client import DeliveryAttempt, HookDeliveries
from storage.facts.commands.reconciliations import (
    Due,
    ReconciliationOutcome,
    claim_reconciliation,
    settle_reconciliation,
)
from storage.facts.queries.reconciliations import missing_deliveries
from storage.secrets.envelope import Undecipherable
from storage.secrets.queries import open_secrets
from storage.services import Services

log = structlog.get_logger()

LANES = 4
"""Reconciliations that run concurrently."""
ROUND = 120
"""Seconds after which no further run starts, so that the sweep ends within its time in `workers.sweeps`."""
LEASE = timedelta(minutes=10)
"""Longer than any run."""
TIMEOUT_RUN = 240
"""Seconds for the redelivery requests of one run."""
PAUSE = 1.0
"""Seconds between two redelivery requests: GitHub asks for a second between requests that change something."""
UNREACHED = "The sender lists more deliveries than one run can compare; the oldest were not compared."


async def reconcile(services: Services) -> None:
    """Run the reconciliations that are due, for at most ROUND seconds."""
    deadline = asyncio.get_running_loop().time() + ROUND
    await asyncio.gather(*(_lane(services, deadline) for _ in range(LANES)))


async def _lane(services: Services, deadline: float) -> None:
    while asyncio.get_running_loop().time() < deadline and await reconcile_next(services):
        pass


async def reconcile_next(services: Services) -> bool:
    """Run the reconciliation that has been due longest; return False if none is due."""
    interval = timedelta(seconds=services.settings.reconcile_interval)
    async with services.database.transaction() as tx:
        due = await claim_reconciliation(tx, LEASE)
    if due is None:
        return False
    outcome = await _Run(services, due).outcome()
    async with services.database.transaction() as tx:
        await settle_reconciliation(tx, due, outcome, interval)
    if outcome.asked or outcome.error:
        log.info("reconcile.settled", config=str(due.config_id), asked=len(outcome.asked), error=outcome.error)
    return True


class _Run:
    """One comparison. Redelivery requests already made are part of its outcome, even if it fails."""

    def __init__(self, services: Services, due: Due) -> None:
        self._services = services
        self._due = due
        self._asked: list[str] = []

    async def outcome(self) -> ReconciliationOutcome:
        """Compare and request; errors of the sender are returned in the outcome."""
        try:
            return await self._compared()
        except Throttled as error:
            return self._failed(error.message, timedelta(seconds=error.retry_after))
        except (Upstream, Rejected) as error:
            return self._failed(error.message)
        except Undecipherable:
            return self._failed("The token cannot be decrypted with this master key; enter it again.")

    def _failed(self, error: str, retry_after: timedelta | None = None) -> ReconciliationOutcome:
        return ReconciliationOutcome(self._asked, whole=False, error=error, retry_after=retry_after)

    async def _compared(self) -> ReconciliationOutcome:
        due, clock = self._due, self._services.clock
        hook = HookDeliveries(self._services.outbound, due.hook_url, await self._token(), clock.now)
        history = await hook.since(earliest(due.started_at, due.last_run_at))
        missing = await self._missing(history.attempts)
        all_asked = await self._ask(hook, missing)
        return ReconciliationOutcome(self._asked, whole=all_asked, error=None if history.whole else UNREACHED)

    async def _token(self) -> str:
        async with self._services.database.read() as reader:
            tokens = await open_secrets(reader, self._services.envelope, [self._due.secret_id], TOKEN_PURPOSE)
        return tokens[self._due.secret_id]

    async def _missing(self, attempts: Iterable[DeliveryAttempt]) -> list[DeliveryAttempt]:
        """Return the newest attempt of each delivery that never arrived, oldest first: the sender drops those first."""
        newest: dict[str, DeliveryAttempt] = {}
        for attempt in attempts:
            if attempt.event != "ping":
                newest.setdefault(attempt.guid, attempt)
        due, now = self._due, self._services.clock.now()
        async with self._services.database.read() as reader:
            missing = await missing_deliveries(reader, due.org_id, due.config_id, list(newest), now)
        return [newest[guid] for guid in reversed(newest) if guid in missing]

    async def _ask(self, hook: HookDeliveries, missing: Sequence[DeliveryAttempt]) -> bool:
        """Request redeliveries; return whether all were requested.

        One that the sender no longer has counts as requested, so that it is not requested for ever.
        """
        until = asyncio.get_running_loop().time() + TIMEOUT_RUN
        for attempt in missing[:MAX_REQUESTS]:
            if asyncio.get_running_loop().time() > until:
                return False
            if self._asked:
                await asyncio.sleep(PAUSE)
            await hook.redeliver(attempt.id)
            self._asked.append(attempt.guid)
        return len(missing) <= MAX_REQUESTS
