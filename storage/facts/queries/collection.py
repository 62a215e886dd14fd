"""What trails still lack: of one trail, and of all that are not compliant."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from domain.errors import NotFound
from domain.facts.attestations import ResultStatus
from domain.facts.collection import Completeness, completeness
from domain.facts.trails import TrailStatus
from storage.database import Reader, Row
from storage.facts.queries.artifacts import candidates_of
from storage.facts.queries.attestations import count_by_type
from storage.facts.queries.latest_results import heads_of
from storage.facts.queries.requirements import asked_by
from storage.paging import Listing, Page, Window, capped_count, equalities, fetch_page
from storage.tenant import Tenant

MAX_UNSURE = 1000
"""Trails judged for a total beyond those that SQL can tell."""

_FROM = "trails t JOIN flow_versions v ON v.flow_id = t.flow_id AND v.version = t.flow_version"
_TEMPLATE = "coalesce(t.template, v.template)"
_TRAILS = f"""
SELECT t.id, t.flow_id, t.git_commit_sha, t.git_branch, t.status, t.created_at,
       v.name, v.tags, v.required_types, v.requires_approval, {_TEMPLATE} AS template
FROM {_FROM}
"""  # noqa: S608 - SQL of our own


@dataclass(frozen=True, slots=True)
class TrailEvidence:
    """All that was attested on a trail, by type and newest status, and what is lacking."""

    counts: Mapping[tuple[str, ResultStatus], int]
    completeness: Completeness

    @property
    def types(self) -> list[str]:
        """Every type that was reported, whatever came of it."""
        return list(dict.fromkeys(kind for kind, _ in self.counts))

    def total(self, *statuses: ResultStatus) -> int:
        """How many attestations stand at these statuses."""
        return sum(number for (_, status), number in self.counts.items() if status in statuses)


async def evidence_of_trail(reader: Reader, tenant: Tenant, trail_id: UUID) -> TrailEvidence:
    """Raises NotFound for the trail."""
    row = await reader.row(f"{_TRAILS} WHERE t.org_id = $1 AND t.id = $2", tenant.org_id, trail_id)
    if row is None:
        raise NotFound(f"There is no trail {trail_id}.")
    lacking = await _judged(reader, tenant, [row])
    return TrailEvidence(await count_by_type(reader, tenant, trail_id), lacking[trail_id])


@dataclass(frozen=True, slots=True)
class Gap:
    """A trail that lacks something."""

    trail_id: UUID
    flow_id: UUID
    git_commit_sha: str
    git_branch: str
    status: TrailStatus
    completeness: Completeness


_TYPE_OPEN = """
EXISTS (
  SELECT FROM jsonb_array_elements_text(v.required_types) AS required(type)
  WHERE NOT coalesce((
    SELECT bool_and(h.status = 'PASSED') FROM slot_heads h WHERE h.trail_id = t.id AND h.type = required.type), false)
)
"""
_PENDING_FOR_EVIDENCE = f"""
t.status = 'PENDING' AND NOT v.requires_approval
AND ({_TEMPLATE} -> 'artifacts' <> '[]'
     OR EXISTS (SELECT FROM slot_heads h WHERE h.trail_id = t.id AND h.status = 'PASSED'))
"""
_SURE = f"(CASE WHEN {_TEMPLATE} IS NULL THEN {_TYPE_OPEN} ELSE {_PENDING_FOR_EVIDENCE} END)"
"""Something is lacking, as far as SQL can tell: all of it for lists of types, most of it for templates.

A trail with a template that is PENDING, though something passed or an artifact is asked for and no approval is, can
lack nothing but evidence (`domain.facts.evaluation.trail_status`). Other trails with a template are judged.
"""

_CANDIDATES = Listing(_TRAILS, "t.created_at", "t.id", dict)


async def list_gaps(reader: Reader, tenant: Tenant, window: Window, *, flow_id: UUID | None = None) -> Page[Gap]:
    """The trails that lack something, oldest first, of one flow where given.

    A page may be shorter than asked for: a trail that is not compliant for another reason turns out to be complete
    only when its template is evaluated. Exact up to 10,000 trails, of which MAX_UNSURE may need that.
    """
    narrowed, args = equalities({"t.org_id": tenant.org_id, "t.flow_id": flow_id})
    conditions = [*narrowed, "t.status <> 'COMPLIANT'"]
    page = await fetch_page(reader, _CANDIDATES, [*conditions, f"({_TEMPLATE} IS NOT NULL OR {_SURE})"], args, window)
    unsure = await _unsure(reader, conditions, args)
    sure, capped = await capped_count(reader, _FROM, [*conditions, _SURE], args)
    lacking = await _judged(reader, tenant, [*page.items, *unsure[:MAX_UNSURE]])
    gaps = [_gap(row, lacking[row["id"]]) for row in page.items if not lacking[row["id"]].complete]
    number = sure + sum(not lacking[row["id"]].complete for row in unsure[:MAX_UNSURE])
    return Page(gaps, number, window, page.next, capped=capped or len(unsure) > MAX_UNSURE)


async def _unsure(reader: Reader, conditions: Sequence[str], args: Sequence[Any]) -> list[Row]:
    """In no order: they are only counted, and an order would cost a walk through every trail."""
    where = " AND ".join([*conditions, f"{_TEMPLATE} IS NOT NULL", f"{_SURE} IS NOT TRUE"])
    return await reader.rows(f"{_TRAILS} WHERE {where} LIMIT {MAX_UNSURE + 1}", *args)


async def _judged(reader: Reader, tenant: Tenant, rows: Sequence[Row]) -> dict[UUID, Completeness]:
    """Two statements for however many trails."""
    asked = {row["id"]: asked_by(row) for row in rows}
    heads = await heads_of(reader, asked)
    artifacts = await candidates_of(
        reader, tenant, [trail for trail, one in asked.items() if one.requirements.artifacts]
    )
    return {trail: completeness(one, heads[trail], artifacts.get(trail, ())) for trail, one in asked.items()}


def _gap(row: Row, lacking: Completeness) -> Gap:
    return Gap(row["id"], row["flow_id"], row["git_commit_sha"], row["git_branch"], TrailStatus(row["status"]), lacking)
