"""`trailgate verify`: verify that the data is still as it was sealed."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from cli.installation import existing_authenticator, located, opened, read_settings
from cli.output import counted, note, printable, progress, say
from cli.soundness import derived_is_sound, evidence_is_sound
from domain.audit.ledger import SignedCheckpoint
from domain.errors import Invalid, NotFound
from domain.tenant import Tenant
from storage.database import Database, Reader
from storage.fairness import organisations_waiting
from storage.identity.queries.organisations import every_organisation, organisation_by_slug_or_id
from storage.keys import load_trusted_keys
from storage.ledger.heads import MALFORMED, Inconsistent, known_of
from storage.ledger.inspection import Inspection, Outside, inspect
from storage.ledger.marks import marked_ledgers
from storage.ledger.published import checkpoint_file, published_ledgers, read_published
from storage.ledger.queries import ledger_size
from storage.ledger.verification import VerificationOutcome
from storage.registry import RECORDS
from storage.settings import Settings


def verify(
    *,
    organisation: Annotated[
        str | None, typer.Option(help="Only this organisation, by slug or id; also a deleted one.")
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option(help="A copy of published checkpoints from another host, beside the files of this installation."),
    ] = None,
    deep: Annotated[bool, typer.Option("--deep", help="Also recompute what is derived, such as statuses.")] = False,
    files: Annotated[bool, typer.Option("--files", help="Also hash every evidence file again.")] = False,
) -> None:
    """Verify every entry, record and checkpoint of the ledger. Status 0: sound, 1: findings, 2: could not verify."""
    copies = read_published_file(against) if against else []
    with located(read_settings()) as settings:
        sound = asyncio.run(_verify(settings, organisation, copies, _Depth(deep, files)))
    if not sound:
        raise typer.Exit(1)


@dataclass(frozen=True, slots=True)
class _Depth:
    """What to verify beside the ledger: derived rows, and evidence files."""

    derived: bool = False
    files: bool = False


def read_published_file(path: Path) -> list[SignedCheckpoint]:
    """Return the checkpoints of a published file. Raises Invalid for any other file."""
    try:
        return read_published(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise Invalid(f"{path} is not a file of published checkpoints.") from error


async def _verify(settings: Settings, only: str | None, copies: Sequence[SignedCheckpoint], depth: _Depth) -> bool:
    async with opened(settings) as database:
        sound = await inspect_ledgers(settings, database, only, copies)
        async with database.read() as reader:
            ledgers = await _ledgers(reader, only)
        if depth.derived:
            sound = await derived_is_sound(database, ledgers) and sound
        if depth.files:
            sound = await evidence_is_sound(settings, database, ledgers) and sound
    return sound


async def inspect_ledgers(
    settings: Settings, database: Database, only: str | None = None, copies: Sequence[SignedCheckpoint] = ()
) -> bool:
    """Inspect all ledgers, or that of one organisation, and print the findings. Return whether all are sound.

    `copies` are published checkpoints from elsewhere; those that this host published are read as well. Raises NotFound
    for an unknown organisation, and Invalid when `copies` has no checkpoint of that organisation.
    """
    async with database.snapshot() as reader:
        ledgers = await _ledgers(reader, only)
    ours = {tenant.org_id for tenant in ledgers}
    if only and copies and not {signed.checkpoint.org_id for signed in copies} & ours:
        raise Invalid(f"The file of published checkpoints has none of organisation '{only}'.")
    sound = True
    for tenant in ledgers:
        result = await _inspect(settings, database, tenant, copies)
        _report(tenant, result)
        sound = sound and result.sound
    seen = {signed.checkpoint.org_id for signed in copies} | ledgers_seen(settings)
    for org_id in [] if only else sorted(seen - ours):
        say(f"MISSING organisations {org_id}: its ledger was published or seen here, but there is none")
        sound = False
    return sound


def ledgers_seen(settings: Settings) -> set[UUID]:
    """Return the organisations whose ledgers this host has published or seen."""
    return published_ledgers(settings.checkpoints) | marked_ledgers(settings)


async def _ledgers(reader: Reader, only: str | None) -> list[Tenant]:
    """Return all organisations, including those whose row is missing but whose ledger exists."""
    if only is not None:
        return [await _ledger_named(reader, only)]
    tenants = {organisation.id: organisation.tenant for organisation in await every_organisation(reader)}
    last = UUID(int=0)
    while more := await organisations_waiting(reader, "ledger_entries", "org_id > $1", last):
        tenants = {org_id: Tenant(org_id, str(org_id)) for org_id in more} | tenants
        last = more[-1]
    return list(tenants.values())


async def _ledger_named(reader: Reader, name: str) -> Tenant:
    """Return an organisation, also a deleted one. Raises NotFound, Invalid if several deleted ones had the slug."""
    if active := await organisation_by_slug_or_id(reader, name):
        return active.tenant
    deleted = [one for one in await every_organisation(reader) if name in {one.slug, str(one.id)}]
    if not deleted:
        raise NotFound(f"There is no organisation '{name}'.")
    if len(deleted) > 1:
        ids = ", ".join(str(one.id) for one in deleted)
        raise Invalid(f"Several deleted organisations had the slug '{name}': give the id of one of {ids}.")
    return deleted[0].tenant


async def _inspect(
    settings: Settings, database: Database, tenant: Tenant, copies: Sequence[SignedCheckpoint]
) -> Inspection:
    result = Inspection(tenant.org_id)
    try:
        outside = _outside(settings, tenant.org_id, copies)
    except (Inconsistent, Invalid) as error:
        result.found(VerificationOutcome.ALTERED, "files of this host", str(error))
        return result
    async with database.snapshot() as reader:
        total = await ledger_size(reader, tenant)
        with progress(f"verifying {tenant.org_slug}", total) as advance:
            try:
                async for result in inspect(reader, tenant.org_id, RECORDS, outside):
                    advance(result.entries)
            except MALFORMED as error:
                reason = f"Trailgate cannot have written them, and nothing after them was verified: {error}"
                result.found(VerificationOutcome.ALTERED, f"rows after entry {result.entries}", reason)
    return result


def _outside(settings: Settings, org_id: UUID, copies: Sequence[SignedCheckpoint]) -> Outside:
    """Read what this host knows about a ledger: its mark, its published checkpoints, and the keys that it has."""
    known = known_of(settings, load_trusted_keys(settings), org_id)
    file = checkpoint_file(settings.checkpoints, org_id)
    ours = read_published_file(file) if known.published else []
    if known.published is None:
        note(f"There is no {file}: without it, or --against, a rewritten ledger cannot be told from the original.")
    if not known.keys:
        note("There is no signing key and no trusted key here: signatures are not checked. Set TRAILGATE_TRUSTED_KEYS.")
    authenticator = existing_authenticator(settings)
    if authenticator is None:
        note("There is no master key here: the codes of waiting events and of the ledger's head are not checked.")
    return Outside(known, list(dict.fromkeys([*ours, *copies])), authenticator)


def _report(tenant: Tenant, result: Inspection) -> None:
    for finding in result.findings:
        say(f"{finding.outcome.upper()} {printable(finding.where)}: {printable(finding.reason)}")
    seen = [counted(result.entries, "entry", "entries"), counted(result.checkpoints, "checkpoint")]
    seen += [counted(result.outside, "published checkpoint")] if result.outside else []
    seen += [counted(result.erased, "erased event")] if result.erased else []
    verdict = "sound" if result.sound else counted(len(result.findings), "finding")
    say(f"{tenant.org_slug}: {verdict} ({', '.join(seen)})")
