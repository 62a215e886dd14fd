"""What trails still lack: of one trail, and of all that are not compliant."""

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
from storage.paging import Listing, Page, Where, Window, capped_count, fetch_page

MAX_UNSURE = 1000
"""Trails judged for a total beyond those that SQL can tell."""

_FROM = "trails t JOIN flow_versions v ON v.flow_id = t.flow_id AND v.version = t.flow_version"
_TEMPLATE = "coalesce(t.template, v.template)"


def _row(row: Row) -> Row:
    return row


_TRAILS = Listing(
    "trail",
    "t.id, t.flow_id, t.git_commit_sha, t.git_branch, t.status, t.created_at, "
    f"v.name, v.tags, v.required_types, v.requires_approval, {_TEMPLATE} AS template",
    _FROM,
    _row,
    alias="t.",
)


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
    lacking = await _judged(reader, tenant, [await _TRAILS.get(reader, tenant, trail_id)])
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
    SELECT bool_and(l.status = 'PASSED') FROM latest_results l
    WHERE l.trail_id = t.id AND l.type = required.type
  ), false)
)
"""
_PENDING_FOR_EVIDENCE = f"""
t.status = 'PENDING' AND NOT v.requires_approval
AND ({_TEMPLATE} -> 'artifacts' <> '[]'
     OR (SELECT true FROM latest_results l WHERE l.trail_id = t.id AND l.status = 'PASSED' LIMIT 1))
"""
_SURE = f"(CASE WHEN {_TEMPLATE} IS NULL THEN {_TYPE_OPEN} ELSE {_PENDING_FOR_EVIDENCE} END)"
"""Something is lacking, as far as SQL can tell: all of it for lists of types, most of it for templates.

A trail with a template that is PENDING, though something passed or an artifact is asked for and no approval is, can
lack nothing but evidence (`domain.facts.evaluation.trail_status`). Other trails with a template are judged.
No EXISTS there: PostgreSQL would read all of latest_results to answer it for every trail at once.
"""


async def list_gaps(reader: Reader, tenant: Tenant, window: Window, *, flow_id: UUID | None = None) -> Page[Gap]:
    """The trails that lack something, oldest first, of one flow where given.

    A page may be shorter than asked for: a trail that is not compliant for another reason turns out to be complete
    only when its template is evaluated. Exact up to 10,000 trails, of which MAX_UNSURE may need that.
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
    """In no order: they are only counted, and an order would cost a walk through every trail."""
    where = where.and_(f"{_TEMPLATE} IS NOT NULL").and_(f"{_SURE} IS NOT TRUE")
    return await reader.rows(f"{_TRAILS.select} WHERE {where} LIMIT {MAX_UNSURE + 1}", *where.values)


async def _judged(reader: Reader, tenant: Tenant, rows: Sequence[Row]) -> dict[UUID, Completeness]:
    """Two statements for however many trails."""
    asked = {row["id"]: asked_by(row) for row in rows}
    latest = await latest_results_of(reader, asked)
    artifacts = await candidates_of(
        reader, tenant, [trail for trail, one in asked.items() if one.requirements.artifacts]
    )
    return {trail: completeness(one, latest[trail], artifacts.get(trail, ())) for trail, one in asked.items()}


def _gap(row: Row, lacking: Completeness) -> Gap:
    return Gap(row["id"], row["flow_id"], row["git_commit_sha"], row["git_branch"], TrailStatus(row["status"]), lacking)
