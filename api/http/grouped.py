"""Group commit: run a command that takes a list for many requests in one transaction."""

from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from aiohttp import web

from api.http.calls import SERVICES, Call
from domain.tenant import Tenant
from storage.database import JoinedDatabase, Reader, Transaction
from storage.group_commit import GroupCommit, Limits, Write
from storage.services import Services

LIMITS = Limits(items=512, weight=64 * 2**20, batch=64, writers=2)

GROUP_COMMITS: web.AppKey[dict[str, GroupCommit[Any, Any]]] = web.AppKey("group_commits", dict)
"""The open group commits of the process by name; `/metrics` shows their queues."""

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")

Command = Callable[[Transaction, Tenant, Sequence[Item]], Awaitable[Sequence[Outcome]]]
Check = Callable[[Reader, Tenant, Item], Awaitable[Any]]
"""Raises NotFound unless an item is within the tenant's scopes. The answer must not change afterwards."""


@asynccontextmanager
async def group_commit(
    app: web.Application,
    name: str,
    write: Write[Item, Outcome],
    limits: Limits,
    owner: Callable[[Item], Hashable] | None = None,
) -> AsyncIterator[GroupCommit[Item, Outcome]]:
    """Open a group commit, called `name` in the metrics; write what is still queued at the end."""
    commits = app[GROUP_COMMITS][name] = GroupCommit(write, limits, owner)
    try:
        yield commits
    finally:
        await commits.close()


@dataclass(frozen=True, slots=True)
class OfTenant(Generic[Item]):
    """The item of one request, and its organisation."""

    tenant: Tenant
    item: Item


@dataclass(frozen=True, slots=True)
class GroupedCommand(Generic[Item, Outcome]):
    """A command, and the group commit that runs it for concurrent requests.

    Requests with scopes take part if there is a `check`, which then replaces that of the command.
    """

    command: Command[Item, Outcome]
    commits: GroupCommit[OfTenant[Item], Outcome]
    check: Check[Item] | None = None

    @classmethod
    @asynccontextmanager
    async def opened(
        cls, app: web.Application, name: str, command: Command[Item, Outcome], check: Check[Item] | None = None
    ) -> "AsyncIterator[GroupedCommand[Item, Outcome]]":
        """Open the group commit of a command; write what is still queued at the end."""
        async with group_commit(app, name, _writer(app[SERVICES], command), LIMITS, _organisation) as commits:
            yield cls(command, commits, check)

    async def run(self, call: Call, item: Item, *, dry_run: bool) -> Outcome:
        """Return the outcome of one request once it is committed.

        A dry run runs in a transaction of its own, and a request with an Idempotency-Key in the one that stores its
        answer. Scopes are never part of a group commit: two tenants of one organisation in a transaction could lock
        their rows in different orders.
        """
        tenant = call.tenant
        if not dry_run and not isinstance(call.services.database, JoinedDatabase):
            if tenant.scopes is not None and self.check is not None:
                async with call.read() as reader:
                    await self.check(reader, tenant, item)
                tenant = tenant.unscoped
            if tenant.scopes is None:
                return await self.commits.submit(OfTenant(tenant, item))
        async with call.transaction(dry_run=dry_run) as tx:
            [outcome] = await self.command(tx, tenant, [item])
        return outcome


def _organisation(one: OfTenant[Any]) -> Hashable:
    return one.tenant.org_id


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
