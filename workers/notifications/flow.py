"""Flow control of the relay: how much is under way, to each destination and in all, and when to leave one alone."""

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from domain.notifications.deliveries import OPEN_AFTER
from domain.retries import ErrorClass
from storage.notifications.queries.rules import RuleTarget
from storage.outbox.claims import ClaimedMessage
from workers.notifications.channels import DeliveryResult

MAX_CLAIMED, MAX_PER_DESTINATION = 2048, 512
"""Messages in this process at once, and of those for one destination."""
MAX_CONCURRENT = 32
"""Requests under way to one destination."""


@dataclass(slots=True)
class DestinationBatch:
    """What one claim brought for one destination. `left` has not been begun; `stopped` once it should be left alone."""

    claim_id: UUID
    destination_id: UUID
    size: int
    lease_ends: datetime
    rules: dict[UUID, RuleTarget]
    left: dict[UUID, ClaimedMessage]
    failures: int = 0
    stopped: bool = False
    put_off: dict[UUID, datetime] = field(default_factory=dict)

    def rule_of(self, message: ClaimedMessage) -> RuleTarget | None:
        """The rule of a message; None where its secrets do not open."""
        return self.rules.get(message.rule_id) if message.rule_id else None

    def note(self, result: DeliveryResult) -> None:
        """After a request to slow down, or a row of failures, the rest of the batch is not tried."""
        tried = result.outcome.attempts
        failure = tried[-1].failure if tried else None
        self.failures = self.failures + 1 if failure else 0
        throttled = failure is ErrorClass.THROTTLED
        self.stopped = self.stopped or throttled or result.outcome.gone or self.failures >= OPEN_AFTER

    def chains(self) -> list[list[ClaimedMessage]]:
        """The messages by subject: those of one subject go one after the other."""
        chains: dict[str, list[ClaimedMessage]] = defaultdict(list)
        for message in self.left.values():
            chains[message.subject].append(message)
        return list(chains.values())


@dataclass(slots=True)
class _Destination:
    free: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MAX_CONCURRENT))
    claimed: int = 0


class FlowControl:
    """Counts what is claimed, by destination."""

    def __init__(self) -> None:
        self._destinations: dict[UUID, _Destination] = defaultdict(_Destination)

    @property
    def room(self) -> int:
        """How many messages may be claimed now; none until there is room for a whole destination."""
        room = MAX_CLAIMED - sum(one.claimed for one in self._destinations.values())
        return room if room >= MAX_PER_DESTINATION else 0

    @property
    def busy(self) -> list[UUID]:
        """Destinations of which no more may be claimed."""
        return [one for one, state in self._destinations.items() if state.claimed > MAX_PER_DESTINATION // 2]

    def begin(self, batch: DestinationBatch) -> None:
        """Count a batch that was claimed."""
        self._destinations[batch.destination_id].claimed += batch.size

    def end(self, batch: DestinationBatch) -> None:
        """Count it no longer."""
        state = self._destinations[batch.destination_id]
        state.claimed -= batch.size
        if not state.claimed:
            del self._destinations[batch.destination_id]

    def place(self, batch: DestinationBatch) -> asyncio.Semaphore:
        """A place among the requests under way to the batch's destination, to be held while one is."""
        return self._destinations[batch.destination_id].free
