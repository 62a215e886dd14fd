"""Messages in the outbox without rules: what claims and settlements need."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import UUID, uuid4

from domain.notifications.deliveries import MessageStatus
from domain.retries import ErrorClass
from storage.outbox.claims import ClaimedMessage, ClaimRequest, claim
from storage.outbox.commands import NewMessage, destination_for, enqueue
from storage.outbox.queries import Destination, Message, get_destination, get_message
from storage.outbox.settlement import Attempt, HealthChange, MessageOutcome, settle
from storage.services import Services
from tests.storage.world import World

LEASE = timedelta(seconds=120)


async def destination(world: World, address: str = "https://example.org/hook") -> UUID:
    async with world.services.database.transaction() as tx:
        return await destination_for(tx, world.tenant, "WEBHOOK", address, "https://example.org/…")


async def post(world: World, destination_id: UUID, *subjects: str) -> list[UUID]:
    """One message for each subject."""
    new = [
        NewMessage(destination_id, "WEBHOOK", "ATTESTATION_FAILED", subject, {"title": subject}) for subject in subjects
    ]
    async with world.services.database.transaction() as tx:
        return await enqueue(tx, world.tenant, new)


async def take(services: Services, limit: int = 100, each: int = 100, busy: list[UUID] | None = None) -> "Taken":
    claim_id = uuid4()
    async with services.database.transaction() as tx:
        found = await claim(tx, ClaimRequest(claim_id, limit, each, LEASE, busy or []))
    return Taken(claim_id, found.messages, more=found.more)


class Taken:
    """What one claim brought."""

    def __init__(self, claim_id: UUID, messages: Sequence[ClaimedMessage], *, more: bool) -> None:
        self.claim_id = claim_id
        self.messages = messages
        self.more = more

    @property
    def ids(self) -> list[UUID]:
        return [message.id for message in self.messages]


async def settled(
    services: Services,
    taken: Taken,
    failure: ErrorClass | None = None,
    *,
    wait: timedelta | None = None,
    gone: bool = False,
) -> list[HealthChange]:
    """Every message of a claim comes to the same end: sent, put off by `wait`, or given up."""
    outcomes = _outcomes(services, taken, failure, wait, gone=gone)
    async with services.database.transaction() as tx:
        return await settle(tx, outcomes, 0.5)


@asynccontextmanager
async def settling(services: Services, taken: Taken) -> AsyncIterator[None]:
    """All of a claim was sent; it is settled, but not yet committed, while the block runs."""
    async with services.database.transaction() as tx:
        await settle(tx, _outcomes(services, taken, None, None, gone=False), 0.5)
        yield


def _outcomes(
    services: Services, taken: Taken, failure: ErrorClass | None, wait: timedelta | None, *, gone: bool
) -> list[MessageOutcome]:
    now = services.clock.now()
    attempt = Attempt(now, 5, failure, 500 if failure else 200, "HTTP 500" if failure else None, "ok")
    status = MessageStatus.SENT if failure is None else MessageStatus.PENDING if wait else MessageStatus.FAILED
    return [
        MessageOutcome(
            m.id,
            m.org_id,
            m.destination_id,
            m.subject,
            taken.claim_id,
            status,
            [attempt],
            now + wait if wait else None,
            attempt.error,
            gone=gone,
        )
        for m in taken.messages
    ]


async def message(world: World, message_id: UUID) -> Message:
    async with world.services.database.read() as reader:
        return await get_message(reader, world.tenant, message_id)


async def condition(world: World, destination_id: UUID) -> Destination:
    async with world.services.database.read() as reader:
        return await get_destination(reader, world.tenant, destination_id)


async def hasten(world: World, destination_id: UUID | None = None) -> None:
    """The waiting of claims, retries and pauses is over."""
    async with world.services.database.transaction() as tx:
        await tx.execute("UPDATE outbox SET due_at = $1 WHERE claim_id IS NULL", tx.now)
        await tx.execute(
            "UPDATE destinations SET paused_until = NULL WHERE $1::uuid IS NULL OR id = $1", destination_id
        )
