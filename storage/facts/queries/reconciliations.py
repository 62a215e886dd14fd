"""Reading reconciliations, and finding the deliveries of a sender that never arrived."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from domain.errors import NotFound
from domain.facts.reconciliations import MAX_TIMES, TIMEOUT_REDELIVERY, Reconciliation
from domain.tenant import Tenant
from storage.database import Reader
from storage.rows import columns, from_row

reconciliation_of = from_row(Reconciliation)

_GET = f"SELECT {columns(Reconciliation)} FROM reconciliations WHERE org_id = $1 AND config_id = $2"


async def get_reconciliation(reader: Reader, tenant: Tenant, config_id: UUID) -> Reconciliation:
    """Return the reconciliation of a config. Raises NotFound, also for another organisation's."""
    row = await reader.row(_GET, tenant.org_id, config_id)
    if row is None:
        raise NotFound(f"The webhook config {config_id} is not reconciled.")
    return reconciliation_of(row)


_MISSING = """
SELECT g.guid FROM unnest($3::text[]) AS g(guid)
WHERE NOT EXISTS (SELECT FROM deliveries d WHERE d.org_id = $1 AND d.config_id = $2 AND d.identity = g.guid)
  AND NOT EXISTS (
    SELECT FROM deliveries d
    WHERE d.org_id = $1 AND d.config_id = $2 AND d.delivery_id = g.guid AND d.identity <> d.delivery_id
  )
  AND NOT EXISTS (
    SELECT FROM redelivery_requests r
    WHERE r.config_id = $2 AND r.delivery_id = g.guid AND (r.times >= $4 OR r.asked_at > $5)
  )
"""


async def missing_deliveries(
    reader: Reader, org_id: UUID, config_id: UUID, guids: Sequence[str], now: datetime
) -> set[str]:
    """Return those of a sender's delivery ids that never arrived and that may be requested again now.

    An id is left out once it was requested MAX_TIMES times, and while its last request is younger than
    TIMEOUT_REDELIVERY.
    """
    rows = await reader.rows(_MISSING, org_id, config_id, list(guids), MAX_TIMES, now - TIMEOUT_REDELIVERY)
    return {row["guid"] for row in rows}
