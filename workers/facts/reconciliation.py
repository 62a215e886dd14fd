"""Reconciling: what a sender delivered and we never got is asked for again, a sender at a time (engineering.md 2.1)."""

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
"""Senders that are asked at once."""
ROUND = 120
"""Seconds after which no further run is begun: the turn of `workers.sweeps` must not run out."""
LEASE = timedelta(minutes=10)
"""Longer than a run takes."""
TIMEOUT_RUN = 240
"""Seconds for the requests of one run."""
PAUSE = 1.0
"""Seconds between two requests that change something, as GitHub wants."""
UNREACHED = "More was delivered than can be compared at once: the oldest of it was not."


async def reconcile(services: Services) -> None:
    """Run every reconciliation that is due, for as long as a round may take."""
    deadline = asyncio.get_running_loop().time() + ROUND
    await asyncio.gather(*(_lane(services, deadline) for _ in range(LANES)))


async def _lane(services: Services, deadline: float) -> None:
    while asyncio.get_running_loop().time() < deadline and await reconcile_next(services):
        pass


async def reconcile_next(services: Services) -> bool:
    """Run the one that has been due for longest; False where none is."""
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
    """One comparison. What it asked for counts, however it ends."""

    def __init__(self, services: Services, due: Due) -> None:
        self._services = services
        self._due = due
        self._asked: list[str] = []

    async def outcome(self) -> ReconciliationOutcome:
        """Compare and ask; whatever the sender does wrong is in the outcome."""
        try:
            return await self._compared()
        except Throttled as error:
            return self._failed(error.message, timedelta(seconds=error.retry_after))
        except (Upstream, Rejected) as error:
            return self._failed(error.message)
        except Undecipherable:
            return self._failed("The token cannot be decrypted any more: give it anew.")

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
        """The newest attempt of each delivery that never came, oldest first: those are the first to be forgotten."""
        newest: dict[str, DeliveryAttempt] = {}
        for attempt in attempts:
            if attempt.event != "ping":
                newest.setdefault(attempt.guid, attempt)
        due, now = self._due, self._services.clock.now()
        async with self._services.database.read() as reader:
            missing = await missing_deliveries(reader, due.org_id, due.config_id, list(newest), now)
        return [newest[guid] for guid in reversed(newest) if guid in missing]

    async def _ask(self, hook: HookDeliveries, missing: Sequence[DeliveryAttempt]) -> bool:
        """Whether all were asked for. One that the sender passes over counts as asked, or it would be for ever."""
        until = asyncio.get_running_loop().time() + TIMEOUT_RUN
        for attempt in missing[:MAX_REQUESTS]:
            if asyncio.get_running_loop().time() > until:
                return False
            if self._asked:
                await asyncio.sleep(PAUSE)
            await hook.redeliver(attempt.id)
            self._asked.append(attempt.guid)
        return len(missing) <= MAX_REQUESTS
