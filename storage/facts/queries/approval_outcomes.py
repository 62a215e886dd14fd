"""Reading the decided approvals of trails."""

from collections.abc import Collection, Mapping, Sequence
from uuid import UUID

from domain.facts.approvals import ApprovalOutcome, Resolution
from storage.database import Reader
from storage.rows import columns, from_row

OUTCOME_COLUMNS = columns(ApprovalOutcome)
outcome_of = from_row(ApprovalOutcome, resolution=Resolution, roles=tuple)
_OUTCOMES = f"""
SELECT found.* FROM unnest($1::uuid[]) AS wanted(trail_id) CROSS JOIN LATERAL (
  SELECT {OUTCOME_COLUMNS} FROM approval_outcomes WHERE trail_id = wanted.trail_id
  ORDER BY resolved_at DESC, id DESC LIMIT {{most}}
) found
"""
MAX_OUTCOMES = 500
"""Decided approvals of one trail that count: the newest."""


async def outcomes_of(reader: Reader, trail_ids: Collection[UUID]) -> Mapping[UUID, Sequence[ApprovalOutcome]]:
    """Return the decided approvals of each trail that has any, newest first."""
    found: dict[UUID, list[ApprovalOutcome]] = {}
    for row in await reader.rows(_OUTCOMES.format(most=MAX_OUTCOMES), list(trail_ids)):
        found.setdefault(row["trail_id"], []).append(outcome_of(row))
    return found
