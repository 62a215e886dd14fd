"""Reading what OPA bundles decided."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from domain.gates.opa import OpaDecision
from domain.tenant import Tenant
from storage.database import Reader
from storage.paging import Listing, Page, Window, capped_count, fetch_fitting
from storage.rows import columns, from_row

MAX_LISTED = 8 << 20
"""Bytes of the inputs of one page."""

decision_of = from_row(OpaDecision, reasons=tuple)

_DECISIONS = Listing("OPA decision", columns(OpaDecision), "opa_decisions", decision_of)


async def list_decisions(
    reader: Reader,
    tenant: Tenant,
    window: Window,
    *,
    bundle_id: UUID | None = None,
    allow: bool | None = None,
    whole: bool,
) -> Page[OpaDecision]:
    """List decisions, as many as MAX_LISTED allows.

    Raises Invalid if the window has to be `whole` and is too large.
    """
    where = _DECISIONS.of(tenant)
    for condition, value in {"bundle_id = {}": bundle_id, "allow = {}": allow}.items():
        where = where if value is None else where.and_(condition, value)
    items, following = await fetch_fitting(
        reader, _DECISIONS, where, window, weight="size", most=MAX_LISTED, whole=whole
    )
    number, capped = await capped_count(reader, _DECISIONS.source, where)
    return Page(items, number, window, following, capped)


async def get_decision(reader: Reader, tenant: Tenant, decision_id: UUID) -> OpaDecision:
    """Return one decision. Raises NotFound."""
    return await _DECISIONS.get(reader, tenant, decision_id)


_WITH_IDS = f"SELECT {columns(OpaDecision)} FROM opa_decisions WHERE org_id = $1 AND id = ANY($2::uuid[])"


async def decisions_with_ids(reader: Reader, tenant: Tenant, ids: Sequence[UUID]) -> Mapping[UUID, OpaDecision]:
    """Return the decisions with these ids; those that are gone are left out."""
    rows = await reader.rows(_WITH_IDS, tenant.org_id, ids) if ids else []
    return {row["id"]: decision_of(row) for row in rows}
