"""Commands that take lists, run for many requests in one commit."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from aiohttp import web

from api.http.calls import SERVICES, Call
from domain.tenant import Tenant
from storage.database import JoinedDatabase, Transaction
from storage.group_commit import GroupCommit, Limits, Write
from storage.services import Services

LIMITS = Limits(items=512, weight=64 * 2**20, batch=64, writers=2)

GROUP_COMMITS: web.AppKey[dict[str, GroupCommit[Any, Any]]] = web.AppKey("group_commits", dict)
"""Every open group commit of the process by name: what `/metrics` shows the queues of."""

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")

Command = Callable[[Transaction, Tenant, Sequence[Item]], Awaitable[Sequence[Outcome]]]


@asynccontextmanager
async def group_commit(
    app: web.Application, name: str, write: Write[Item, Outcome], limits: Limits
) -> AsyncIterator[GroupCommit[Item, Outcome]]:
    """A group commit that is shown as `name`; at the end what waits is written."""
    commits = app[GROUP_COMMITS][name] = GroupCommit(write, limits)
    try:
        yield commits
    finally:
        await commits.close()


@dataclass(frozen=True, slots=True)
class OfTenant(Generic[Item]):
    """What one request of one organisation hands over."""

    tenant: Tenant
    item: Item


@dataclass(frozen=True, slots=True)
class GroupedCommand(Generic[Item, Outcome]):
    """A command, and the group commit that runs it for whoever asks at the same time."""

    command: Command[Item, Outcome]
    commits: GroupCommit[OfTenant[Item], Outcome]

    @classmethod
    @asynccontextmanager
    async def opened(
        cls, app: web.Application, name: str, command: Command[Item, Outcome]
    ) -> "AsyncIterator[GroupedCommand[Item, Outcome]]":
        """Ready to run; at the end what waits is written."""
        async with group_commit(app, name, _writer(app[SERVICES], command), LIMITS) as commits:
            yield cls(command, commits)

    async def run(self, call: Call, item: Item, *, dry_run: bool) -> Outcome:
        """The outcome of one request, once it is committed.

        A dry run, and a request whose effect must be kept together with its answer, have a transaction of their own.
        """
        database = call.services.database
        if not dry_run and not isinstance(database, JoinedDatabase):
            return await self.commits.submit(OfTenant(call.tenant, item))
        async with database.transaction(dry_run=dry_run) as tx:
            [outcome] = await self.command(tx, call.tenant, [item])
        return outcome


def _writer(services: Services, command: Command[Item, Outcome]) -> Write[OfTenant[Item], Outcome]:
    async def write(waiting: Sequence[OfTenant[Item]]) -> Sequence[Outcome]:
        made: dict[int, Outcome] = {}
        async with services.database.transaction() as tx:
            for tenant in sorted({one.tenant for one in waiting}, key=lambda tenant: tenant.org_id):
                places = [place for place, one in enumerate(waiting) if one.tenant == tenant]
                outcomes = await command(tx, tenant, [waiting[place].item for place in places])
                made.update(zip(places, outcomes, strict=True))
        return [made[place] for place in range(len(waiting))]

    return write
