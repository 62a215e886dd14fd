"""Reading how much of its quotas an organisation has used."""

from collections.abc import Collection
from datetime import datetime
from typing import Any
from uuid import UUID

from domain.identity.quotas import Quota, Quotas, QuotaUse, period_number, resets_at
from domain.tenant import Tenant
from storage.counters import total_of
from storage.database import Reader, Row

OWN_LIMITS = "quotas"
"""The key of an organisation's own limits among its settings."""

USES = f"""
SELECT q.kind AS quota, coalesce((o.settings #>> ARRAY['{OWN_LIMITS}', q.kind])::bigint, q.standard) AS most,
       {total_of("q.kind", "q.parent_id")} AS used
FROM unnest($2::text[], $3::uuid[], $4::bigint[]) AS q(kind, parent_id, standard)
LEFT JOIN organisations o ON o.id = $1
"""
"""For organisation $1: the limit of each quota, its own or the standard one, and what is used."""


def uses_of(tenant: Tenant, quotas: Collection[Quota], standard: Quotas, now: datetime) -> list[Any]:
    """Return the arguments of `USES`."""
    periods = [UUID(int=period_number(quota, now)) for quota in quotas]
    return [tenant.org_id, list(quotas), periods, [standard[quota] for quota in quotas]]


def use_of(row: Row, now: datetime) -> QuotaUse:
    """Convert a row of `USES`."""
    quota = Quota(row["quota"])
    return QuotaUse(quota, row["most"], row["used"], resets_at(quota, now))


async def quota_uses(reader: Reader, tenant: Tenant, standard: Quotas, now: datetime) -> list[QuotaUse]:
    """Return the use of every quota; `standard` are the limits of organisations without limits of their own."""
    rows = await reader.rows(USES, *uses_of(tenant, list(Quota), standard, now))
    return [use_of(row, now) for row in rows]
