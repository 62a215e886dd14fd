"""Counting against quotas, in the transaction of what is counted, and giving an organisation limits of its own."""

from collections.abc import Mapping

from domain.audit.events import Actor, AuditName, Event
from domain.errors import NotFound
from domain.identity.quotas import PERIODS, Quota, exceeded
from domain.identity.records import ORGANISATION
from domain.tenant import Tenant
from storage.audit.commands import append
from storage.counters import NO_PARENT, adjust
from storage.database import Row, Transaction
from storage.identity.queries.organisations import held_organisation
from storage.identity.queries.quotas import OWN_LIMITS, USES, use_of, uses_of

_TAKE = f"""
WITH uses AS MATERIALIZED ({USES}), granted AS (
  SELECT least($6::bigint, greatest(most - used, 0)) AS number FROM uses
), counted AS (
  INSERT INTO counter_deltas (id, org_id, kind, parent_id, d)
  SELECT $5, $1, $2[1], $3[1], number FROM granted WHERE number > 0
)
SELECT quota, most, used, number AS granted FROM uses, granted
"""


async def take(tx: Transaction, tenant: Tenant, quota: Quota, wanted: int) -> int:
    """Count up to `wanted` against a quota; return how many remained.

    Concurrent transactions may exceed a rate together, by what each of them counts: none waits for another.
    """
    return int((await _take(tx, tenant, quota, wanted))["granted"])


async def charge(tx: Transaction, tenant: Tenant, quota: Quota, number: int = 1) -> None:
    """Count `number` against a quota; raise the error of `exceeded` if fewer remain.

    For a total, the organisation stays locked until the transaction ends, so that it is never exceeded.
    """
    if quota not in PERIODS:
        await held_organisation(tx, tenant)
    row = await _take(tx, tenant, quota, number)
    if row["granted"] < number:
        raise exceeded(use_of(row, tx.now), tx.now)


async def release(tx: Transaction, tenant: Tenant, quota: Quota, number: int = 1) -> None:
    """Uncount from a total what was deleted."""
    await adjust(tx, tenant, quota.value, NO_PARENT, -number)


async def _take(tx: Transaction, tenant: Tenant, quota: Quota, wanted: int) -> Row:
    [row] = await tx.rows(_TAKE, *uses_of(tenant, [quota], tx.quotas, tx.now), tx.new_id(), wanted)
    return row


_SET = """
UPDATE organisations SET settings = $2, version = version + 1, updated_at = $3 WHERE id = $1 RETURNING *
"""


async def set_limits(tx: Transaction, tenant: Tenant, limits: Mapping[Quota, int | None], actor: Actor) -> None:
    """Give an organisation limits of its own; None removes one, so that the standard limit applies again.

    A limit below what is used deletes nothing. Raises NotFound for an unknown organisation.
    """
    held = await held_organisation(tx, tenant)
    if held is None:
        raise NotFound(f"There is no organisation '{tenant.org_slug}'.")
    before = held["settings"].get(OWN_LIMITS, {})
    own = {quota: limit for quota, limit in {**before, **limits}.items() if limit is not None}
    if own == before:
        return
    row = await tx.row(_SET, tenant.org_id, {**held["settings"], OWN_LIMITS: own}, tx.now)
    assert row is not None  # noqa: S101 - the row is locked
    payload = {"slug": tenant.org_slug, OWN_LIMITS: own}
    await append(tx, tenant, [Event(AuditName.ORGANISATION_UPDATED, actor, ORGANISATION, row, payload)])
