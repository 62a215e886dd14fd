"""Reading the decided approvals of trails."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from domain.facts.approvals import ApprovalOutcome, Resolution
from domain.facts.evaluation import Asked
from domain.tenant import Tenant
from storage.database import Reader
from storage.rows import columns, from_row

_COLUMNS = columns(ApprovalOutcome)
_outcome = from_row(ApprovalOutcome, resolution=Resolution, roles=tuple)
_OUTCOMES = f"""
SELECT found.* FROM unnest($1::uuid[]) AS wanted(trail_id) CROSS JOIN LATERAL (
  SELECT {_COLUMNS} FROM approval_outcomes WHERE trail_id = wanted.trail_id
  ORDER BY resolved_at DESC, id DESC LIMIT {{most}}
) found
"""
MAX_OUTCOMES = 500
"""Decided approvals of one trail that count: the newest."""


async def outcomes_of(reader: Reader, trail_ids: Collection[UUID]) -> Mapping[UUID, Sequence[ApprovalOutcome]]:
    """Return the decided approvals of each trail that has any, newest first."""
    found: dict[UUID, list[ApprovalOutcome]] = {}
    for row in await reader.rows(_OUTCOMES.format(most=MAX_OUTCOMES), list(trail_ids)):
        found.setdefault(row["trail_id"], []).append(_outcome(row))
    return found


async def required_outcomes(reader: Reader, asked: Mapping[UUID, Asked]) -> Mapping[UUID, Sequence[ApprovalOutcome]]:
    """Return the same of those trails that require an approval; without any of them nothing is read."""
    requiring = [trail_id for trail_id, one in asked.items() if one.approval]
    return await outcomes_of(reader, requiring) if requiring else {}


_WITH_IDS = f"SELECT {_COLUMNS} FROM approval_outcomes WHERE org_id = $1 AND id = ANY($2::uuid[])"


async def outcomes_with_ids(reader: Reader, tenant: Tenant, ids: Collection[UUID]) -> list[ApprovalOutcome]:
    """Return the decided approvals with these ids; those that are gone are left out."""
    return [_outcome(row) for row in await reader.rows(_WITH_IDS, tenant.org_id, list(ids))] if ids else []


async def last_resolved_at(reader: Reader, trail_id: UUID) -> datetime | None:
    """Return when the newest decided approval of a trail was decided; None if there is none."""
    found: datetime | None = await reader.value(
        "SELECT max(resolved_at) FROM approval_outcomes WHERE trail_id = $1", trail_id
    )
    return found
