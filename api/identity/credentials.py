"""Look up credentials: concurrent requests share one statement, and results are cached for less than a second.

A cached result is dropped as soon as PostgreSQL notifies of a change to the key, its owner, the membership or the
organisation (migration 0005). A notification may be lost with its connection; then the result expires after MAX_AGE.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from time import monotonic
from uuid import UUID

from aiohttp import web

from api.http.calls import SERVICES
from api.http.grouped import group_commit
from domain.identity.permissions import Principal
from storage.group_commit import GroupCommit, Limits
from storage.identity.queries.credentials import CREDENTIAL_CHANGES, principals_of

LIMITS = Limits(items=4096, weight=0, batch=256, writers=2)

MAX_AGE = 0.9
"""Seconds that a result is cached. A revoked key must be rejected within a second, even if its notification is lost."""

MAX_KNOWN = 10_000
"""Keys in the cache."""

MAX_PROVEN = 10_000
"""Credentials of which a process remembers that they were valid."""

Ask = Callable[[], Awaitable[Principal | None]]
"""Finds the owner of a credential that is not looked up by its hash."""


class Credentials:
    """The owners of credentials, by hash. Only valid ones are cached, so that a new key works at once."""

    def __init__(self, look_ups: GroupCommit[bytes, Principal | None]) -> None:
        self._look_ups = look_ups
        self._known: dict[bytes, tuple[Principal, float]] = {}
        self._proven: dict[bytes, None] = {}
        self._changes = 0

    def has_proven(self, sha256: bytes) -> bool:
        """Return whether a credential was valid when it was last presented here. It may have changed since."""
        return sha256 in self._proven

    def disproved(self, sha256: bytes) -> None:
        """Note that a credential is not valid."""
        self._proven.pop(sha256, None)

    async def principal_of(self, sha256: bytes, ask: Ask | None = None) -> Principal | None:
        """Return the owner of a key or session, or of another credential by what `ask` returns; None if invalid."""
        known = self._known.get(sha256)
        asked = monotonic()
        if known is not None and asked - known[1] < MAX_AGE:
            return known[0]
        changes = self._changes
        principal = await (ask() if ask else self._look_ups.submit(sha256))
        if principal is None:
            self._known.pop(sha256, None)
            return None
        self._prove(sha256)
        if changes == self._changes:  # otherwise the result may be older than the change
            self._remember(sha256, principal, asked)
        return principal

    def _prove(self, sha256: bytes) -> None:
        """Remember a valid credential; when there are too many, the one looked up longest ago is forgotten."""
        self._proven.pop(sha256, None)
        if len(self._proven) >= MAX_PROVEN:
            del self._proven[next(iter(self._proven))]
        self._proven[sha256] = None

    def _remember(self, sha256: bytes, principal: Principal, asked: float) -> None:
        if len(self._known) >= MAX_KNOWN:
            self._known.clear()
        self._known[sha256] = principal, asked

    def changed(self, changed: str) -> None:
        """Drop the results that depend on an organisation or a principal, given by its id."""
        self._changes += 1
        identifier = UUID(changed)
        affected = [sha256 for sha256, (who, _) in self._known.items() if identifier in (who.org_id, who.id)]
        for sha256 in affected:
            del self._known[sha256]

    def forget(self) -> None:
        """Drop all results, because changes may have been missed."""
        self._changes += 1
        self._known.clear()


CREDENTIALS: web.AppKey[Credentials] = web.AppKey("credentials", Credentials)


async def credentials(app: web.Application) -> AsyncIterator[None]:
    """Provide `CREDENTIALS` while the application serves."""
    services = app[SERVICES]

    async def look_up(hashes: Sequence[bytes]) -> Sequence[Principal | None]:
        async with services.database.read() as reader:
            found = await principals_of(reader, set(hashes), services.clock.now(), services.settings.session_idle)
        return [found.get(one) for one in hashes]

    async with group_commit(app, "credentials", look_up, LIMITS) as commits:
        known = app[CREDENTIALS] = Credentials(commits)
        listening = asyncio.create_task(services.database.listen(CREDENTIAL_CHANGES, known.changed, known.forget))
        yield
        listening.cancel()
        with suppress(asyncio.CancelledError):
            await listening
