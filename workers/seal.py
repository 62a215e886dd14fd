"""The sealer: seals audit events into the ledger, signs checkpoints, and publishes them outside the database."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from uuid import UUID

import structlog

from domain.audit.ledger import SignedCheckpoint
from domain.errors import Invalid
from storage.fairness import organisations_waiting
from storage.ledger.commands import seal, sign_checkpoint
from storage.ledger.heads import MALFORMED, Inconsistent, known_mark, known_of
from storage.ledger.marking import keep_mark
from storage.ledger.marks import Mark
from storage.ledger.published import checkpoint_file, last_published, publish
from storage.ledger.queries import checkpoints_after, newest_checkpoints, unsigned_ledgers
from storage.services import Services
from workers import metrics

log = structlog.get_logger()

BATCH = 4000
PUBLISH_BATCH = 1000
LEFT_ALONE = timedelta(seconds=30)
PAUSE = 0.1
"""Seconds between two rounds while a checkpoint must wait for its interval."""


class Sealer:
    """The job that seals and signs. It leaves an inconsistent ledger alone for a while, and goes on with the others."""

    def __init__(self) -> None:
        self._left_alone: dict[UUID, datetime] = {}
        self._marks: dict[UUID, Mark] = {}
        """What was sealed, as far as this process knows."""

    async def __call__(self, services: Services) -> None:
        """Run until every event is sealed and covered by a published checkpoint, except in inconsistent ledgers."""
        while True:
            sealed = await self.seal_round(services)
            unsigned = await self.sign_round(services)
            if not sealed and not unsigned:
                return
            if not sealed:
                await asyncio.sleep(PAUSE)

    async def seal_round(self, services: Services) -> int:
        """Seal one batch for every organisation with waiting events; return how many were sealed."""
        async with services.database.read() as reader:
            organisations = await organisations_waiting(reader, "unsealed")
        return sum([await self._sealed(services, org_id) for org_id in self._sound(services, organisations)])

    async def _sealed(self, services: Services, org_id: UUID) -> int:
        async with self._found_sound(services, org_id):
            if org_id not in self._marks:
                self._marks[org_id] = await asyncio.to_thread(known_mark, services.settings, org_id)
            async with services.database.transaction() as tx:
                number, head = await seal(tx, org_id, BATCH, self._marks[org_id])
            self._marks[org_id] = Mark(head.size, head.size)
            await keep_mark(services, org_id, self._marks[org_id], durable=False)  # it is made so with each checkpoint
            metrics.SEALED.inc(number)
            return number
        return 0

    async def sign_round(self, services: Services) -> int:
        """Sign and publish every ledger whose last checkpoint is old enough; return how many must still wait."""
        interval = timedelta(seconds=services.settings.checkpoint_interval)
        async with services.database.read() as reader:
            signed_at = {one.org_id: one.signed_at for one in await unsigned_ledgers(reader)}
        now = services.clock.now()
        ledgers = {org_id: signed_at[org_id] for org_id in self._sound(services, signed_at)}
        # One from the future, signed before the clock was set back, is due: nobody waits until the clock is there.
        due = [
            one for one, signed_at in ledgers.items() if not signed_at or not timedelta() <= now - signed_at < interval
        ]
        for org_id in due:
            await self._signed(services, org_id)
        return len(ledgers) - len(due)

    async def _signed(self, services: Services, org_id: UUID) -> None:
        async with self._found_sound(services, org_id):
            known = await asyncio.to_thread(known_of, services.settings, services.trusted_keys, org_id)
            async with services.database.transaction() as tx:
                await sign_checkpoint(tx, org_id, services.signer, known)
            await keep_mark(services, org_id, self._marks.get(org_id, known.mark))
            metrics.CHECKPOINTS.inc()
            await publish_checkpoints(services, org_id)

    def _sound(self, services: Services, organisations: Iterable[UUID]) -> list[UUID]:
        """Return the organisations without those that are left alone for now."""
        now = services.clock.now()
        return [org_id for org_id in organisations if self._left_alone.get(org_id, now) <= now]

    @asynccontextmanager
    async def _found_sound(self, services: Services, org_id: UUID) -> AsyncIterator[None]:
        """Run a block; if it finds the ledger inconsistent, say so and leave the ledger alone for a while."""
        try:
            yield
        except (Inconsistent, *MALFORMED) as error:
            self._left_alone[org_id] = services.clock.now() + LEFT_ALONE
            metrics.INCONSISTENT.inc()
            log.error("ledger.inconsistent", organisation=str(org_id), reason=str(error))  # noqa: TRY400 - the text says all


async def publish_checkpoints(services: Services, org_id: UUID) -> int:
    """Append the next missing checkpoints to the organisation's file; return how many.

    Fails open: a failure, such as a full disk or a file that somebody changed, is logged, and the next checkpoint or
    the sweep tries again; the checkpoints themselves are safe in PostgreSQL.
    """
    path = checkpoint_file(services.settings.checkpoints, org_id)
    try:
        missing = await _missing(services, org_id, await asyncio.to_thread(last_published, path))
        return await asyncio.to_thread(publish, path, missing) if missing else 0
    except (OSError, Invalid) as error:
        metrics.UNPUBLISHED.inc()
        log.error("checkpoints.unpublished", path=str(path), error=str(error))  # noqa: TRY400 - the text says all
        return 0


async def _missing(services: Services, org_id: UUID, last: SignedCheckpoint | None) -> list[SignedCheckpoint]:
    """Return the checkpoints that follow the last published one. Raises Invalid when that is not of this ledger."""
    before = last.checkpoint.size - 1 if last else 0
    async with services.database.read() as reader:
        stored = [one.signed for one in await checkpoints_after(reader, org_id, before, PUBLISH_BATCH)]
    if last is None:
        return stored
    if stored[:1] != [last]:
        raise Invalid("The last checkpoint in the file is not one of this ledger.")
    return stored[1:]


async def publish_missing(services: Services) -> None:
    """Publish every checkpoint that its file lacks: after a full disk, or a worker that died between the two."""
    async with services.database.read() as reader:
        newest = await newest_checkpoints(reader)
    for signed in newest:
        if not await _is_published(services, signed):
            while await publish_checkpoints(services, signed.checkpoint.org_id):
                pass


async def _is_published(services: Services, newest: SignedCheckpoint) -> bool:
    """Return whether the ledger's file ends with this checkpoint; what is wrong with a file, publishing reports."""
    path = checkpoint_file(services.settings.checkpoints, newest.checkpoint.org_id)
    with suppress(OSError, Invalid):
        return await asyncio.to_thread(last_published, path) == newest
    return False
