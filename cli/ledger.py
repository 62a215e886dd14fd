"""`trailgate verify`: verify that the data is still as it was sealed."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from cli.installation import located, opened, read_settings
from cli.output import printable, progress, say
from domain.audit.ledger import SignedCheckpoint
from domain.errors import Invalid, NotFound
from domain.tenant import Tenant
from storage.database import Database, Reader
from storage.fairness import organisations_waiting
from storage.identity.queries.organisations import every_organisation, organisation_by_slug_or_id
from storage.ledger.inspection import Inspection, inspect
from storage.ledger.published import read_published
from storage.ledger.queries import ledger_size
from storage.registry import RECORDS
from storage.settings import Settings


def verify(
    organisation: Annotated[str | None, typer.Option(help="Only this organisation, by slug or id.")] = None,
    against: Annotated[
        Path | None, typer.Option(help="A file of published checkpoints, preferably from another host.")
    ] = None,
) -> None:
    """Verify every entry, record and checkpoint of the ledger. Status 0: sound, 1: findings, 2: could not verify."""
    outside = _read_outside(against) if against else []
    with located(read_settings()) as settings:
        sound = asyncio.run(_verify(settings, organisation, outside))
    if not sound:
        raise typer.Exit(1)


def _read_outside(path: Path) -> list[SignedCheckpoint]:
    try:
        published = read_published(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise Invalid(f"{path} is not a file of published checkpoints.") from error
    return published


async def _verify(settings: Settings, only: str | None, outside: Sequence[SignedCheckpoint]) -> bool:
    async with opened(settings) as database:
        return await inspect_ledgers(database, only, outside)


async def inspect_ledgers(database: Database, only: str | None, outside: Sequence[SignedCheckpoint]) -> bool:
    """Inspect all ledgers, or that of one organisation, and print the findings. Return whether all are sound.

    Raises NotFound for an unknown organisation, and Invalid when `outside` has no checkpoint of that organisation.
    """
    async with database.snapshot() as reader:
        ledgers = await _ledgers(reader, only)
    published = {signed.checkpoint.org_id for signed in outside}
    if only and outside and not published & {tenant.org_id for tenant in ledgers}:
        raise Invalid(f"The file of published checkpoints has none of organisation '{only}'.")
    sound = True
    for tenant in ledgers:
        result = await _inspect(database, tenant, outside)
        _report(tenant, result)
        sound = sound and result.sound
    for org_id in [] if only else sorted(published - {tenant.org_id for tenant in ledgers}):
        say(f"MISSING organisations {org_id}: checkpoints of its ledger were published, but there is no ledger")
        sound = False
    return sound


async def _ledgers(reader: Reader, only: str | None) -> list[Tenant]:
    """Return all organisations, including those whose row is missing but whose ledger exists."""
    if only is not None:
        found = await organisation_by_slug_or_id(reader, only)
        if found is None:
            raise NotFound(f"There is no organisation '{only}'.")
        return [found.tenant]
    tenants = {organisation.id: organisation.tenant for organisation in await every_organisation(reader)}
    last = UUID(int=0)
    while more := await organisations_waiting(reader, "ledger_entries", "org_id > $1", last):
        tenants = {org_id: Tenant(org_id, str(org_id)) for org_id in more} | tenants
        last = more[-1]
    return list(tenants.values())


async def _inspect(database: Database, tenant: Tenant, outside: Sequence[SignedCheckpoint]) -> Inspection:
    result = Inspection(tenant.org_id)
    async with database.snapshot() as reader:
        total = await ledger_size(reader, tenant)
        with progress(f"verifying {tenant.org_slug}", total) as advance:
            async for result in inspect(reader, tenant.org_id, RECORDS, outside):
                advance(result.entries)
    return result


def _report(tenant: Tenant, result: Inspection) -> None:
    for finding in result.findings:
        say(f"{finding.outcome.upper()} {printable(finding.where)}: {printable(finding.reason)}")
    seen = [counted(result.entries, "entry", "entries"), counted(result.checkpoints, "checkpoint")]
    seen += [counted(result.outside, "published checkpoint")] if result.outside else []
    verdict = "sound" if result.sound else counted(len(result.findings), "finding")
    say(f"{tenant.org_slug}: {verdict} ({', '.join(seen)})")


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """Return a number with its noun, such as `1 finding` or `2 entries`; `plural` is for nouns that do not add an s."""
    return f"{number} {noun if number == 1 else plural or f'{noun}s'}"
