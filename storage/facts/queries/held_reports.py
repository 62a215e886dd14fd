"""Reading the newest reports of artifacts, with their trails locked until the transaction ends."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from domain.facts.evaluation import Asked, Candidate
from domain.tenant import Tenant
from storage.batches import Rows
from storage.database import Row, Transaction
from storage.facts.queries.requirements import ASKED_IN_TEXTS, asked_in_texts


class Subject(NamedTuple):
    """An artifact by its digest: wherever it was reported, or in one flow, or on one trail."""

    digest: str
    flow_id: UUID | None = None
    trail_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class HeldReport:
    """The newest report of an artifact in one flow.

    `asked` is what its trail requires: by the version of the flow that the trail pins, or by a template of its own.
    `readable`: the trail is within the tenant's scopes.
    """

    report_id: UUID
    flow_id: UUID
    flow_version: int
    trail_id: UUID
    own_template: bool
    candidate: Candidate
    asked: Asked
    readable: bool
    created_at: datetime


_SUBJECTS = Rows({"place": "int", "digest": "text", "flow_id": "uuid", "trail_id": "uuid"})
_COLUMNS = "r.id, r.digest, r.flow_id, r.trail_id, coalesce(r.slot, r.name) AS name, r.created_at"
_NEWEST_FIRST = "ORDER BY r.flow_id DESC, r.created_at DESC, r.id DESC LIMIT 1"
_FIRST, _LAST = (f"'{digit * 8}-{digit * 4}-{digit * 4}-{digit * 4}-{digit * 12}'::uuid" for digit in "0f")
_HELD = f"""
WITH RECURSIVE asked AS (SELECT * FROM {_SUBJECTS.source("asked", 2)}),
newest AS (
  SELECT asked.place, asked.flow_id AS only_flow, first.* FROM asked CROSS JOIN LATERAL (
    SELECT {_COLUMNS} FROM artifact_reports r
    WHERE r.org_id = $1 AND r.digest = asked.digest
      AND r.flow_id BETWEEN coalesce(asked.flow_id, {_FIRST}) AND coalesce(asked.flow_id, {_LAST})
    {_NEWEST_FIRST}
  ) first
  WHERE asked.trail_id IS NULL
  UNION ALL
  SELECT newest.place, newest.only_flow, following.* FROM newest CROSS JOIN LATERAL (
    SELECT {_COLUMNS} FROM artifact_reports r
    WHERE r.org_id = $1 AND r.digest = newest.digest AND r.flow_id < newest.flow_id
    {_NEWEST_FIRST}
  ) following
  WHERE newest.only_flow IS NULL
),
on_trails AS (
  SELECT asked.place, asked.flow_id AS only_flow, found.* FROM asked CROSS JOIN LATERAL (
    SELECT {_COLUMNS} FROM artifact_reports r
    WHERE r.trail_id = asked.trail_id AND r.digest = asked.digest AND r.org_id = $1
    ORDER BY r.created_at DESC, r.id DESC LIMIT 1
  ) found
  WHERE asked.trail_id IS NOT NULL
)
SELECT n.place, n.id AS report_id, n.digest, n.flow_id, n.trail_id, n.name AS artifact_name, n.created_at,
       t.flow_version, t.git_repository, t.template IS NOT NULL AS own_template, {ASKED_IN_TEXTS}
FROM (SELECT * FROM newest UNION ALL SELECT * FROM on_trails) n
JOIN trails t ON t.id = n.trail_id
JOIN flow_versions v ON v.flow_id = t.flow_id AND v.version = t.flow_version
ORDER BY t.id FOR SHARE OF t
"""
"""One index probe for each digest and flow, however often the digest was reported there. FOR SHARE: no report can
change a trail's results while they are read, and decisions do not block each other."""


async def held_reports(
    tx: Transaction, tenant: Tenant, subjects: Sequence[Subject]
) -> Mapping[int, Sequence[HeldReport]]:
    """Return the newest report in each flow, newest first, by the place of the subject. An unknown artifact has none.

    Scopes hide nothing here, for they must not change what is concluded: see `readable`.
    """
    asked = [{"place": place, **one._asdict()} for place, one in enumerate(subjects)]
    found: dict[int, list[HeldReport]] = {}
    for row in await tx.rows(_HELD, tenant.org_id, *_SUBJECTS.arrays(asked)):
        found.setdefault(row["place"], []).append(_held(tenant, row))
    for reports in found.values():
        reports.sort(key=lambda one: (one.created_at, one.report_id), reverse=True)
    return found


def _held(tenant: Tenant, row: Row) -> HeldReport:
    return HeldReport(
        report_id=row["report_id"],
        flow_id=row["flow_id"],
        flow_version=row["flow_version"],
        trail_id=row["trail_id"],
        own_template=row["own_template"],
        candidate=Candidate(row["artifact_name"], row["digest"]),
        asked=asked_in_texts(row),
        readable=tenant.scopes is None or tenant.scopes.contain(row["flow_id"], row["git_repository"]),
        created_at=row["created_at"],
    )


_ON_TRAILS = """
SELECT wanted.id AS trail_id, first.digest, EXISTS (
  SELECT FROM artifact_reports WHERE org_id = $1 AND trail_id = wanted.id AND digest > first.digest
) AS others
FROM unnest($2::uuid[]) AS wanted(id) CROSS JOIN LATERAL (
  SELECT digest FROM artifact_reports WHERE org_id = $1 AND trail_id = wanted.id ORDER BY digest LIMIT 1
) first
"""


async def only_digests(tx: Transaction, tenant: Tenant, trail_ids: Sequence[UUID]) -> Mapping[UUID, str | None]:
    """Return the digest of the one artifact of each trail, None for a trail that has several; nothing without any."""
    rows = await tx.rows(_ON_TRAILS, tenant.org_id, trail_ids)
    return {row["trail_id"]: None if row["others"] else row["digest"] for row in rows}
