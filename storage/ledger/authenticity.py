"""Checking that a record is what Trailgate wrote, also before a checkpoint covers it, before something is signed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from domain.audit import merkle
from domain.errors import Conflict
from domain.tenant import Tenant
from storage.authenticator import Authenticator
from storage.database import Reader
from storage.ledger.heads import MALFORMED, Inconsistent, check_head, is_authentic, read_head
from storage.ledger.queries import inclusion_proof
from storage.ledger.records import RecordSource
from storage.ledger.verification import VerificationOutcome, verify_record


@dataclass(frozen=True, slots=True)
class Trust:
    """What the database is compared with: the forms of records, the trusted public keys by id, the keys of codes."""

    sources: Mapping[str, RecordSource]
    keys: Mapping[str, bytes]
    authenticator: Authenticator


async def check_record(reader: Reader, tenant: Tenant, record_id: UUID, trust: Trust) -> None:
    """Compare a record that never changes with its sealed event. Raises Conflict if Trailgate did not write it.

    Before a signed checkpoint covers the event, the codes of the ledger's head and of waiting events prove it.
    """
    found = await verify_record(reader, tenant, record_id, trust.sources, trust.keys)
    if found.outcome is VerificationOutcome.VERIFIED:
        return
    outcome, reason = found.outcome, found.reason
    if outcome is VerificationOutcome.UNSEALED:
        if await _is_authentic(reader, tenant, record_id, found.entry, trust):
            return
        outcome = VerificationOutcome.ALTERED
        reason = "neither the ledger nor the queue of waiting events has it as Trailgate wrote it"
    raise Conflict(f"The record {record_id} is {outcome.value}: {reason}. Nothing was signed.", "state")


_EVENTS = """
SELECT e.id AS event_id, e.leaf, u.mac, u.leaf = e.leaf AS waits
FROM audit_events e LEFT JOIN unsealed u ON u.org_id = e.org_id AND u.event_id = e.id
WHERE e.org_id = $1 AND e.record_id = $2 LIMIT 2
"""


async def _is_authentic(
    reader: Reader, tenant: Tenant, record_id: UUID, entry: Mapping[str, Any] | None, trust: Trust
) -> bool:
    """Whether Trailgate wrote the only event of a record: a second one could fit an altered row in its place."""
    events = await reader.rows(_EVENTS, tenant.org_id, record_id)
    if len(events) != 1:
        return False
    if entry is None:
        return bool(events[0]["waits"]) and is_authentic(events[0], tenant.org_id, trust.authenticator)
    return await _is_in_ledger(reader, tenant.org_id, entry, trust.authenticator)


async def _is_in_ledger(reader: Reader, org_id: UUID, entry: Mapping[str, Any], authenticator: Authenticator) -> bool:
    try:
        head, _ = await read_head(reader, org_id)
        await check_head(reader, head, authenticator)
        path = await inclusion_proof(reader, org_id, entry["seq"], head.size)
    except (Inconsistent, *MALFORMED):
        return False
    return merkle.verify_inclusion(entry["leaf"], entry["seq"] - 1, head.size, path, head.root)
