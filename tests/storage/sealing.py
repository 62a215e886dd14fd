"""Sealing, signing and inspecting as the worker and `trailgate verify` do, one step at a time."""

from collections.abc import Sequence
from uuid import UUID

from domain.audit.ledger import SignedCheckpoint
from storage.database import Reader, Transaction
from storage.ledger.commands import seal, sign_checkpoint
from storage.ledger.heads import Known, known_mark, known_of
from storage.ledger.inspection import Inspection, Outside, inspect
from storage.registry import RECORDS
from storage.services import Services


def known_to(services: Services, org_id: UUID) -> Known:
    return known_of(services.settings, services.trusted_keys, org_id)


async def seal_waiting(services: Services, tx: Transaction, org_id: UUID, limit: int = 10_000) -> int:
    """Seal, without a high-water mark; return how many."""
    return (await seal(tx, org_id, limit, known_mark(services.settings, org_id)))[0]


async def sign(services: Services, tx: Transaction, org_id: UUID) -> None:
    await sign_checkpoint(tx, org_id, services.signer, known_to(services, org_id))


async def inspected(
    services: Services, reader: Reader, org_id: UUID, published: Sequence[SignedCheckpoint] = ()
) -> Inspection:
    """The finished inspection of a ledger, as this host sees it."""
    outside = Outside(known_to(services, org_id), published, services.database.authenticator)
    state = None
    async for state in inspect(reader, org_id, RECORDS, outside):
        pass
    assert state is not None
    return state
