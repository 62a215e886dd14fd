"""`trailgate verify --deep` and `--files`: compare what the ledger does not cover with what it does."""

from collections.abc import AsyncIterator, Iterable

from cli.output import counted, progress, say
from cli.rebuild import REBUILDS
from domain.tenant import Tenant
from storage.blobs.store import BlobStore
from storage.database import Database
from storage.facts.queries.evidence import stored_files
from storage.rebuild import Progress
from storage.settings import Settings

_BATCH = 500


async def derived_is_sound(database: Database, tenants: Iterable[Tenant]) -> bool:
    """Recompute all derived rows as `trailgate rebuild` does, without keeping the result, and print what differs."""
    sound = True
    rehearsed = database.rehearsed()
    for tenant in tenants:
        for derived, rebuild in REBUILDS.items():
            done = Progress(0, 0)
            with progress(f"{tenant.org_slug}: recomputing {derived}") as advance:
                async for done in rebuild(rehearsed, tenant):
                    advance(done.seen)
            if done.mended:
                repair = f"repair them with `trailgate rebuild {derived}`"
                say(f"ALTERED {tenant.org_slug}: {done.mended} {derived} differ from the facts; {repair}")
                sound = False
    return sound


async def evidence_is_sound(settings: Settings, database: Database, tenants: Iterable[Tenant]) -> bool:
    """Hash every evidence file again, and print which are missing or differ from their digest, which is sealed."""
    store, sound = BlobStore(settings.blobs), True
    for tenant in tenants:
        with progress(f"{tenant.org_slug}: hashing evidence files") as advance:
            number = 0
            async for digest in _digests(database, tenant):
                number += 1
                found = await store.measure(digest)
                if found is None or found.digest != digest:
                    say(f"{'MISSING' if found is None else 'ALTERED'} evidence file {digest} of {tenant.org_slug}")
                    sound = False
                advance(number)
        say(f"{tenant.org_slug}: {counted(number, 'evidence file')} hashed")
    return sound


async def _digests(database: Database, tenant: Tenant) -> AsyncIterator[str]:
    last = ""
    while True:
        async with database.read() as reader:
            digests = await stored_files(reader, tenant, after=last, limit=_BATCH)
        for digest in digests:
            yield digest
        if not digests:
            return
        last = digests[-1]
