"""What many requests do in one go: commits, and look-ups of credentials (storage/group_commit.py)."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

from aiohttp import web

from api.calls import Call
from domain.facts.attestations import Attestation, NewAttestation
from domain.permissions import Principal
from storage.database import JoinedDatabase, Transaction
from storage.facts.commands.assertions import Decision, NewAssertion, decide
from storage.facts.commands.attestations import record_attestations
from storage.group_commit import GroupCommit, Limits
from storage.identity.queries import principals_of_keys
from storage.inbox.commands import Arrival, Receipt, accept
from storage.scope import Scope
from storage.services import Services

INBOX_BATCH, INBOX_WRITERS = 128, 3
REPORT_LIMITS = Limits(items=512, weight=64 * 2**20, batch=64, writers=2)
CREDENTIAL_LIMITS = Limits(items=4096, weight=0, batch=256, writers=2)


Item = TypeVar("Item")
Outcome = TypeVar("Outcome")

Command = Callable[[Transaction, Scope, Sequence[Item]], Awaitable[Sequence[Outcome]]]


@dataclass(frozen=True, slots=True)
class Scoped(Generic[Item]):
    """What one request of one organisation hands over."""

    scope: Scope
    item: Item


@dataclass(frozen=True, slots=True)
class Together(Generic[Item, Outcome]):
    """A command that takes lists, run for many requests in one commit."""

    command: Command[Item, Outcome]
    commits: GroupCommit[Scoped[Item], Outcome]

    @classmethod
    def opened(cls, services: Services, command: Command[Item, Outcome]) -> "Together[Item, Outcome]":
        """Ready to run; inside an event loop."""

        async def write(waiting: Sequence[Scoped[Item]]) -> Sequence[Outcome]:
            made: dict[int, Outcome] = {}
            async with services.database.transaction() as tx:
                for scope in sorted({one.scope for one in waiting}, key=lambda scope: scope.org_id):
                    places = [place for place, one in enumerate(waiting) if one.scope == scope]
                    outcomes = await command(tx, scope, [waiting[place].item for place in places])
                    made.update(zip(places, outcomes, strict=True))
            return [made[place] for place in range(len(waiting))]

        return cls(command, GroupCommit(write, REPORT_LIMITS))

    async def run(self, call: Call, scope: Scope, item: Item, *, dry_run: bool) -> Outcome:
        """The outcome of one request, once it is committed.

        A dry run, and a request whose effect must be kept together with its answer, have a transaction of their own.
        """
        database = call.services.database
        if not dry_run and not isinstance(database, JoinedDatabase):
            return await self.commits.submit(Scoped(scope, item))
        async with database.transaction(dry_run=dry_run) as tx:
            [outcome] = await self.command(tx, scope, [item])
        return outcome


@dataclass(frozen=True, slots=True)
class Writers:
    """`arrivals` answers None for a config that was deleted a moment ago."""

    arrivals: GroupCommit[Arrival, Receipt | None]
    attestations: Together[NewAttestation, Attestation]
    assertions: Together[NewAssertion, Decision]
    credentials: GroupCommit[bytes, Principal | None]
    """Look-ups by a key's hash. Each begins after its request arrived, so a revoked key holds for nobody."""


WRITERS: web.AppKey[Writers] = web.AppKey("writers", Writers)


@asynccontextmanager
async def open_writers(services: Services) -> AsyncIterator[Writers]:
    """Start the writers; at the end what waits is written."""
    settings = services.settings

    async def write_arrivals(arrivals: Sequence[Arrival]) -> Sequence[Receipt | None]:
        async with services.database.transaction() as tx:
            return await accept(tx, arrivals)

    inbox_limits = Limits(settings.inbox_capacity, settings.inbox_capacity_bytes, INBOX_BATCH, INBOX_WRITERS)

    async def look_up(hashes: Sequence[bytes]) -> Sequence[Principal | None]:
        async with services.database.read() as reader:
            found = await principals_of_keys(reader, set(hashes), services.clock.now())
        return [found.get(one) for one in hashes]

    writers = Writers(
        GroupCommit(write_arrivals, inbox_limits),
        Together.opened(services, record_attestations),
        Together.opened(services, decide),
        GroupCommit(look_up, CREDENTIAL_LIMITS),
    )
    try:
        yield writers
    finally:
        await writers.arrivals.close()
        await writers.attestations.commits.close()
        await writers.assertions.commits.close()
        await writers.credentials.close()
