"""Flow control of the relay: limits on messages claimed and requests in flight, and when to stop a batch."""

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
"""Messages claimed by this process at once: in total, and for one destination."""
MAX_CONCURRENT = 32
"""Concurrent requests to one destination."""


@dataclass(slots=True)
class DestinationBatch:
    """The messages of one claim for one destination. `left` holds those not sent yet; `stopped`: send no more.

    `size` counts those that are not settled yet.
    """

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
        """Return the rule of a message; None if its secrets cannot be decrypted."""
        return self.rules.get(message.rule_id) if message.rule_id else None

    def note(self, result: DeliveryResult) -> None:
        """Record a result; stop the batch after throttling, OPEN_AFTER failures in a row, or a destination gone."""
        tried = result.outcome.attempts
        failure = tried[-1].failure if tried else None
        self.failures = self.failures + 1 if failure else 0
        throttled = failure is ErrorClass.THROTTLED
        self.stopped = self.stopped or throttled or result.outcome.gone or self.failures >= OPEN_AFTER

    def chains(self) -> list[list[ClaimedMessage]]:
        """Group the messages by subject: those of one subject are sent one after the other."""
        chains: dict[str, list[ClaimedMessage]] = defaultdict(list)
        for message in self.left.values():
            chains[message.subject].append(message)
        return list(chains.values())


@dataclass(slots=True)
class _Destination:
    free: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MAX_CONCURRENT))
    claimed: int = 0


class FlowControl:
    """Counts the claimed messages of each destination."""

    def __init__(self) -> None:
        self._destinations: dict[UUID, _Destination] = defaultdict(_Destination)

    @property
    def capacity(self) -> int:
        """How many messages may be claimed now; 0 until MAX_PER_DESTINATION more fit."""
        capacity = MAX_CLAIMED - sum(one.claimed for one in self._destinations.values())
        return capacity if capacity >= MAX_PER_DESTINATION else 0

    @property
    def busy(self) -> list[UUID]:
        """Destinations for which no more messages may be claimed."""
        return [one for one, state in self._destinations.items() if state.claimed > MAX_PER_DESTINATION // 2]

    def begin(self, batch: DestinationBatch) -> None:
        """Count a claimed batch."""
        self._destinations[batch.destination_id].claimed += batch.size

    def settled(self, batch: DestinationBatch) -> None:
        """Stop counting one message of a batch: a long one must not keep others from being claimed until it ends."""
        batch.size -= 1
        self._destinations[batch.destination_id].claimed -= 1

    def end(self, batch: DestinationBatch) -> None:
        """Stop counting a batch that has ended."""
        state = self._destinations[batch.destination_id]
        state.claimed -= batch.size
        if not state.claimed:
            del self._destinations[batch.destination_id]

    def place(self, batch: DestinationBatch) -> asyncio.Semaphore:
        """Return the semaphore that limits concurrent requests to the batch's destination."""
        return self._destinations[batch.destination_id].free
