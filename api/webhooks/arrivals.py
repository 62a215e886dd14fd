"""Store webhook deliveries: concurrent requests share one commit, which comes before their responses."""

from collections.abc import AsyncIterator, Sequence
from operator import attrgetter

from aiohttp import web

from api.http.calls import SERVICES
from api.http.grouped import group_commit
from storage.group_commit import GroupCommit, Limits
from storage.inbox.commands import Arrival, Receipt, accept

BATCH, WRITERS = 128, 3

ARRIVALS: web.AppKey[GroupCommit[Arrival, Receipt | None]] = web.AppKey("arrivals", GroupCommit)
"""Returns None for a delivery that its config no longer accepts: it was deleted, or now requires a signature."""


async def arrivals(app: web.Application) -> AsyncIterator[None]:
    """Provide `ARRIVALS` while the application serves."""
    services = app[SERVICES]
    settings = services.settings

    async def write(waiting: Sequence[Arrival]) -> Sequence[Receipt | None]:
        async with services.database.statement() as tx:
            return await accept(tx, waiting)

    limits = Limits(settings.inbox_capacity, settings.inbox_capacity_bytes, BATCH, WRITERS)
    async with group_commit(app, "arrivals", write, limits, attrgetter("org_id")) as commits:
        app[ARRIVALS] = commits
        yield
