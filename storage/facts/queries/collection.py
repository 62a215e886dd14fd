"""Missing evidence: of one trail, and of all trails that are not compliant."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from domain.facts.attestations import ResultStatus
from domain.facts.collection import Completeness, completeness
from domain.facts.trails import TrailStatus
from domain.tenant import Tenant
from storage.database import Reader, Row
from storage.facts.queries.artifacts import candidates_of
from storage.facts.queries.attestations import count_by_type
from storage.facts.queries.latest_results import latest_results_of
from storage.facts.queries.requirements import asked_by
from storage.facts.queries.scoping import trail_limits
from storage.paging import Listing, Page, Where, Window, capped_count, fetch_page

MAX_UNSURE = 1000
"""Trails whose templates are evaluated for the total because SQL cannot decide them."""

_FROM = "trails t JOIN flow_versions v ON v.flow_id = t.flow_id AND v.version = t.flow_version"
_TEMPLATE = "coalesce(t.template, v.template)"


def _row(row: Row) -> Row:
    return row


_TRAILS = Listing(
    "trail",
    "t.id, t.flow_id, t.git_commit_sha, t.git_branch, t.status, t.created_at, "
    f"v.name, v.tags, v.required_types, v.requires_approval, v.required_approver_roles, "
    f"{_TEMPLATE} AS template",
    _FROM,
    _row,
    alias="t.",
    limits=trail_limits("t."),
)


@dataclass(frozen=True, slots=True)
class TrailEvidence:
    """The number of a trail's attestations by type and newest status, and what is missing."""

    counts: Mapping[tuple[str, ResultStatus], int]
    completeness: Completeness

    @property
    def types(self) -> list[str]:
        """Every type that was reported, whatever its status."""
        return list(dict.fromkeys(kind for kind, _ in self.counts))

    def total(self, *statuses: ResultStatus) -> int:
        """Return how many attestations have one of these statuses."""
        return sum(number for (_, status), number in self.counts.items() if status in statuses)


async def evidence_of_trail(reader: Reader, tenant: Tenant, trail_id: UUID) -> TrailEvidence:
    """Return what was attested on a trail and what is missing. Raises NotFound for the trail."""
    lacking = await _judged(reader, tenant, [await _TRAILS.get(reader, tenant, trail_id)])
    return TrailEvidence(await count_by_type(reader, tenant, trail_id), lacking[trail_id])


@dataclass(frozen=True, slots=True)
class Gap:
    """A trail with missing evidence."""

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
    SELECT bool_and(l.status = 'PASSED') FROM latest_results l
    WHERE l.trail_id = t.id AND l.type = required.type AND NOT l.superseded
  ), false)
)
"""
_PENDING_FOR_EVIDENCE = f"""
t.status = 'PENDING' AND NOT v.requires_approval
AND ({_TEMPLATE} -> 'artifacts' <> '[]'
     OR (SELECT true FROM latest_results l
         WHERE l.trail_id = t.id AND l.status = 'PASSED' AND NOT l.superseded LIMIT 1))
"""
_SURE = f"(CASE WHEN {_TEMPLATE} IS NULL THEN {_TYPE_OPEN} ELSE {_PENDING_FOR_EVIDENCE} END)"
"""Whether evidence is missing, as far as SQL can decide: exact for lists of types, incomplete for templates.

A trail with a template certainly lacks evidence if it is PENDING, needs no approval, and something has passed or the
template requires an artifact (`domain.facts.evaluation.trail_status`). For other trails the template is evaluated.
The scalar subquery replaces an EXISTS, for which PostgreSQL would read all of latest_results.
"""


async def list_gaps(reader: Reader, tenant: Tenant, window: Window, *, flow_id: UUID | None = None) -> Page[Gap]:
    """List the trails with missing evidence, oldest first, of one flow if given.

    A page may be shorter than requested: that a trail is complete, and not compliant for another reason, may only
    be found by evaluating its template. The total is exact up to 10,000 trails, MAX_UNSURE of them evaluated.
    """
    where = _TRAILS.of(tenant).and_("t.status <> 'COMPLIANT'")
    if flow_id is not None:
        where = where.and_("t.flow_id = {}", flow_id)
    rows, following = await fetch_page(reader, _TRAILS, where.and_(f"({_TEMPLATE} IS NOT NULL OR {_SURE})"), window)
    unsure = await _unsure(reader, where)
    sure, capped = await capped_count(reader, _FROM, where.and_(_SURE))
    lacking = await _judged(reader, tenant, [*rows, *unsure[:MAX_UNSURE]])
    gaps = [_gap(row, lacking[row["id"]]) for row in rows if not lacking[row["id"]].complete]
    number = sure + sum(not lacking[row["id"]].complete for row in unsure[:MAX_UNSURE])
    return Page(gaps, number, window, following, capped=capped or len(unsure) > MAX_UNSURE)


async def _unsure(reader: Reader, where: Where) -> list[Row]:
    """Return the trails that SQL cannot decide, unordered: they are only counted, and sorting would read them all."""
    where = where.and_(f"{_TEMPLATE} IS NOT NULL").and_(f"{_SURE} IS NOT TRUE")
    return await reader.rows(where.matching(_TRAILS.select, f"LIMIT {MAX_UNSURE + 1}"), *where.values)


async def _judged(reader: Reader, tenant: Tenant, rows: Sequence[Row]) -> dict[UUID, Completeness]:
    """Evaluate any number of trails with two statements."""
    asked = {row["id"]: asked_by(row) for row in rows}
    latest = await latest_results_of(reader, asked)
    artifacts = await candidates_of(
        reader, tenant, [trail for trail, one in asked.items() if one.requirements.artifacts]
    )
    return {trail: completeness(one, latest[trail], artifacts.get(trail, ())) for trail, one in asked.items()}


def _gap(row: Row, lacking: Completeness) -> Gap:
    return Gap(row["id"], row["flow_id"], row["git_commit_sha"], row["git_branch"], TrailStatus(row["status"]), lacking)
