"""The ledger (facts.md 19.2)."""

from uuid import UUID

from api.authentication import scope_of
from api.calls import Call
from api.facts.schemas.ledger import (
    ChainIn,
    ChainVerificationOut,
    CheckpointOut,
    LedgerEntryOut,
    LedgerPage,
    LedgerQuery,
    LedgerStatusOut,
    RecordVerificationOut,
)
from storage.ledger import chain, queries, verification
from storage.registry import RECORDS


async def list_ledger_entries(call: Call, query: LedgerQuery) -> LedgerPage:
    """List ledger entries in the order they were sealed."""
    scope = scope_of(call.caller)
    async with call.services.database.read() as reader:
        entries = await queries.list_entries(reader, scope, after=query.page * query.size, size=query.size)
        size = await queries.ledger_size(reader, scope)
    return LedgerPage(
        entries=[LedgerEntryOut.of(entry) for entry in entries],
        page=query.page,
        size=query.size,
        total_elements=size,
        total_pages=-(-size // query.size),
    )


async def get_ledger_entry(call: Call, record_id: UUID) -> LedgerEntryOut:
    """Read the newest entry of a record."""
    async with call.services.database.read() as reader:
        return LedgerEntryOut.of(await queries.latest_entry(reader, scope_of(call.caller), record_id))


async def verify_ledger_record(call: Call, record_id: UUID) -> RecordVerificationOut:
    """Verify a record against the ledger.

    Recomputes every event of the record from the rows as they stand now: leaf, entry, both neighbours, the path through
    the Merkle tree and the signature of the checkpoint. The proof can be checked elsewhere (docs/verify.md).
    """
    async with call.services.database.snapshot() as reader:
        verdict = await verification.verify_record(reader, scope_of(call.caller), record_id, RECORDS)
    return RecordVerificationOut.of(record_id, verdict, call.services.clock.now())


async def verify_ledger_chain(call: Call, body: ChainIn | None = None) -> ChainVerificationOut:
    """Verify the chain of a window of time."""
    window = body or ChainIn()
    async with call.services.database.read() as reader:
        return ChainVerificationOut.of(
            await chain.verify_chain(reader, scope_of(call.caller), window.since, window.until)
        )


async def get_ledger_status(call: Call) -> LedgerStatusOut:
    """Read the state of the ledger."""
    scope = scope_of(call.caller)
    async with call.services.database.read() as reader:
        size = await queries.ledger_size(reader, scope)
        checkpoint = await queries.latest_checkpoint(reader, scope)
        tail = await chain.verify_tail(reader, scope, size)
        unsealed = await queries.waiting(reader, scope)
    healthy = tail.broken_at is None and (checkpoint is None or verification.checkpoint_holds(checkpoint))
    return LedgerStatusOut(
        enabled=True,
        type="sql",
        total_entries=size,
        unsealed=unsealed,
        healthy=healthy,
        message=tail.reason if healthy else f"run `trailgate verify`: {tail.reason}",
        checkpoint=CheckpointOut.of(checkpoint) if checkpoint else None,
    )
