"""Looking up credentials, for all requests that arrive at the same time in one statement."""

from collections.abc import AsyncIterator, Sequence

from aiohttp import web

from api.http.calls import SERVICES
from api.http.grouped import group_commit
from domain.identity.permissions import Principal
from storage.group_commit import GroupCommit, Limits
from storage.identity.queries.api_keys import principals_of_keys

LIMITS = Limits(items=4096, weight=0, batch=256, writers=2)

CREDENTIALS: web.AppKey[GroupCommit[bytes, Principal | None]] = web.AppKey("credentials", GroupCommit)
"""By a key's hash. Each look-up begins after its request arrived, so a revoked key holds for nobody."""


async def credentials(app: web.Application) -> AsyncIterator[None]:
    """The look-ups, while the application serves."""
    services = app[SERVICES]

    async def look_up(hashes: Sequence[bytes]) -> Sequence[Principal | None]:
        async with services.database.read() as reader:
            found = await principals_of_keys(reader, set(hashes), services.clock.now())
        return [found.get(one) for one in hashes]

    async with group_commit(app, "credentials", look_up, LIMITS) as commits:
        app[CREDENTIALS] = commits
        yield
