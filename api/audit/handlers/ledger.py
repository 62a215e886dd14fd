"""Handlers of the ledger."""

import asyncio
from uuid import UUID

from aiohttp import web

from api.audit.schemas.ledger import (
    ChainIn,
    ChainVerificationOut,
    CheckpointOut,
    CheckpointsQuery,
    ConsistencyOut,
    ConsistencyQuery,
    LedgerEntryOut,
    LedgerPage,
    LedgerQuery,
    LedgerStatusOut,
    ProofOut,
    ProofQuery,
    RecordVerificationOut,
    SigningKeyOut,
)
from api.http.accept import prefers
from api.http.calls import Call, Reply
from domain.errors import NotFound
from storage.keys import pem_of
from storage.ledger import chain, queries, verification
from storage.ledger.heads import Inconsistent, known_of, problem_of
from storage.registry import RECORDS

PEM = "application/x-pem-file"


async def list_ledger_entries(call: Call, query: LedgerQuery) -> LedgerPage:
    """List the ledger entries, oldest first."""
    tenant = call.tenant
    async with call.read() as reader:
        entries = await queries.list_entries(reader, tenant, after=query.page * query.size, size=query.size)
        size = await queries.ledger_size(reader, tenant)
    return LedgerPage(
        entries=[LedgerEntryOut.of(entry, call) for entry in entries],
        page=query.page,
        size=query.size,
        total_elements=size,
        total_pages=-(-size // query.size),
    )


async def get_ledger_entry(call: Call, record_id: UUID) -> LedgerEntryOut:
    """Get the latest ledger entry of a record."""
    async with call.read() as reader:
        return LedgerEntryOut.of(await queries.entry_of_record(reader, call.tenant, record_id), call)


async def prove_ledger_entry(call: Call, record_id: UUID, query: ProofQuery) -> ProofOut:
    """Get the inclusion proof of a ledger entry.

    Returns the RFC 6962 inclusion proof of the record's latest entry, or of the entry `sequence`, under the latest
    checkpoint, or the checkpoint of size `treeSize`. With a copy of that checkpoint, the proof can be checked without
    trusting this server.
    """
    tenant = call.tenant
    async with call.read() as reader:
        entry = await queries.entry_of_record(reader, tenant, record_id, query.sequence)
        checkpoint = await queries.checkpoint_of(reader, tenant, query.tree_size)
        size = checkpoint.signed.checkpoint.size
        if size < entry.seq:
            raise NotFound(f"The checkpoint of size {size} does not cover entry {entry.seq}; use a larger one.")
        path = await queries.inclusion_proof(reader, tenant.org_id, entry.seq, size)
    return ProofOut.proving(verification.InclusionProof(entry.seq - 1, path, checkpoint), entry.leaf, call)


async def prove_ledger_growth(call: Call, query: ConsistencyQuery) -> ConsistencyOut:
    """Get the consistency proof between two checkpoints.

    Returns the RFC 6962 consistency proof from the checkpoint of size `from` (default: the oldest) to the checkpoint of
    size `to` (default: the latest). It shows that the newer ledger begins with the whole older one.
    """
    tenant = call.tenant
    async with call.read() as reader:
        since = await queries.oldest_checkpoint_size(reader, tenant) if query.since is None else query.since
        older = await queries.checkpoint_of(reader, tenant, since)
        newer = await queries.checkpoint_of(reader, tenant, query.until)
        sizes = older.signed.checkpoint.size, newer.signed.checkpoint.size
        path = await queries.consistency_proof(reader, tenant.org_id, *sizes)
    return ConsistencyOut.between(older, newer, path, call)


async def list_checkpoints(call: Call, query: CheckpointsQuery) -> Reply[list[CheckpointOut]]:
    """List the signed checkpoints, newest first.

    `X-Total-Count` has the total, counted up to 10,000; `Link` has the next page.
    """
    async with call.read() as reader:
        found, total, capped = await queries.list_checkpoints(
            reader, call.tenant, before=query.before, limit=query.size + 1
        )
    shown = found[: query.size]
    headers = {"X-Total-Count": f"{total}+" if capped else str(total)}
    if len(found) > query.size:
        target = f"{call.request.path}?size={query.size}&before={shown[-1].signed.checkpoint.size}"
        headers["Link"] = f'<{target}>; rel="next"'
    return Reply([CheckpointOut.of(one, call) for one in shown], headers=headers)


async def get_checkpoint(call: Call, tree_size: str) -> CheckpointOut | web.Response:
    """Get a signed checkpoint by its size, or the latest one.

    With `Accept: text/plain` the response is the C2SP signed note itself, the form in which checkpoints are published.
    """
    size = None if tree_size == "latest" else int(tree_size)
    async with call.read() as reader:
        checkpoint = CheckpointOut.of(await queries.checkpoint_of(reader, call.tenant, size), call)
    if prefers(call.request, "text/plain", to="application/json"):
        return web.Response(text=checkpoint.note, content_type="text/plain")
    return checkpoint


async def list_signing_keys(call: Call) -> Reply[list[SigningKeyOut]] | web.Response:
    """List the public keys that checkpoints and verdicts are signed with, newest first.

    Obtain the keys from a trusted source before an audit: a forged server would list keys of its own. With `Accept:
    application/x-pem-file` the response is all keys in PEM, the file that `trailgate verify-vsa` and others take.
    """
    async with call.read() as reader:
        keys = await queries.signing_keys(reader, call.services.trusted_keys)
    if prefers(call.request, PEM, to="application/json"):
        return web.Response(text="".join(pem_of(key.public_key) for key in keys), content_type=PEM)
    return Reply([SigningKeyOut.of(key, call) for key in keys], headers={"X-Total-Count": str(len(keys))})


async def verify_ledger_record(call: Call, record_id: UUID) -> RecordVerificationOut:
    """Verify a record against the ledger.

    Recomputes every event of the record from the stored rows: its leaf, its entry, both neighbouring entries, the path
    through the Merkle tree and the signature of the checkpoint. The proof in the response can be checked without this
    server (docs/verify.md).
    """
    async with call.snapshot() as reader:
        verdict = await verification.verify_record(reader, call.tenant, record_id, RECORDS, call.services.trusted_keys)
    return RecordVerificationOut.found(record_id, verdict, call.services.clock.now(), call)


async def verify_ledger_chain(call: Call, body: ChainIn | None = None) -> ChainVerificationOut:
    """Verify the hash chain within a time window."""
    window = body or ChainIn()
    async with call.read() as reader:
        return ChainVerificationOut.of(await chain.verify_chain(reader, call.tenant, window.since, window.until), call)


async def get_ledger_status(call: Call) -> LedgerStatusOut:
    """Get the state of the ledger."""
    tenant, services = call.tenant, call.services
    problem: str | None = None
    try:
        known = await asyncio.to_thread(known_of, services.settings, services.trusted_keys, tenant.org_id)
    except Inconsistent as error:
        known, problem = None, str(error)
    async with services.database.snapshot() as reader:
        size = await queries.ledger_size(reader, tenant)
        checkpoint = await queries.newest_checkpoint(reader, tenant.org_id)
        tail = await chain.verify_tail(reader, tenant, size)
        unsealed = await queries.waiting(reader, tenant)
        problem = problem or (tail.reason if tail.broken_at else None)
        if known and not problem:
            problem = await problem_of(reader, tenant.org_id, services.database.authenticator, known)
    return LedgerStatusOut(
        enabled=True,
        type="sql",
        total_entries=size,
        unsealed=unsealed,
        healthy=problem is None,
        message=f"nothing is signed, run `trailgate verify`: {problem}" if problem else tail.reason,
        checkpoint=CheckpointOut.of(checkpoint, call) if checkpoint else None,
    )
