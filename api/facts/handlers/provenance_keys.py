"""Public keys of whoever signs provenance."""

from uuid import UUID

from api.facts.schemas.provenance_keys import ProvenanceKeyIn, ProvenanceKeyOut
from api.http.calls import Call, Preview, Reply
from api.http.dry_runs import DryRun, WouldCreate, WouldDelete, created, deleted
from api.http.paging import ListQuery, list_headers
from storage.facts.commands import provenance_keys as commands
from storage.facts.queries import provenance_keys as queries


async def create_provenance_key(
    call: Call, body: ProvenanceKeyIn, dry_run: DryRun = False
) -> ProvenanceKeyOut | Preview[WouldCreate[ProvenanceKeyOut]]:
    """Register a public key.

    Provenance that it signs is verified from now on: at once where it is recorded later, at its next check where it
    was recorded before.
    """
    actor = call.actor
    async with call.services.database.transaction(dry_run=dry_run) as tx:
        key = await commands.create_provenance_key(tx, call.tenant, body.key(), actor)
    return created(ProvenanceKeyOut.of(key), dry_run=dry_run)


async def list_provenance_keys(call: Call, query: ListQuery) -> Reply[list[ProvenanceKeyOut]]:
    """List the registered keys, oldest first."""
    async with call.services.database.read() as reader:
        page = await queries.list_provenance_keys(reader, call.tenant, query.window())
    return Reply([ProvenanceKeyOut.of(key) for key in page.items], headers=list_headers(call.request, page))


async def get_provenance_key(call: Call, provenance_key_id: UUID) -> ProvenanceKeyOut:
    """Read one registered key."""
    async with call.services.database.read() as reader:
        key = await queries.get_provenance_key(reader, call.tenant, provenance_key_id)
    return ProvenanceKeyOut.of(key)


async def delete_provenance_key(
    call: Call, provenance_key_id: UUID, dry_run: DryRun = False
) -> Preview[WouldDelete[ProvenanceKeyOut]] | None:
    """Let a key count no longer.

    What it verified stays so until it is checked anew (`…/provenance/verify`): the check is a fact of its time.
    """
    actor = call.actor
    async with call.services.database.transaction(dry_run=dry_run) as tx:
        key = await commands.delete_provenance_key(tx, call.tenant, provenance_key_id, actor)
    return deleted(ProvenanceKeyOut.of(key), dry_run=dry_run)
