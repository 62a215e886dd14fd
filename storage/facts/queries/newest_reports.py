"""Reading what is known of digests: the newest report of each in every flow, with what its trail shows about it."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from domain.facts.approvals import ApprovalOutcome
from domain.facts.evaluation import Asked, Candidate, LatestResult
from domain.tenant import Tenant
from storage.database import Reader, Row
from storage.facts.queries.approval_outcomes import required_outcomes
from storage.facts.queries.latest_results import latest_result, latest_rows_of
from storage.facts.queries.requirements import ASKED_IN_TEXTS, asked_in_texts
from storage.threads import in_thread_if

MAX_ON_LOOP = 50
"""Reports that are put together on the event loop, which takes about a millisecond."""


@dataclass(frozen=True, slots=True)
class NewestReport:
    """The newest report of a digest in one flow.

    `asked` is what its trail requires, by the flow version that the trail pins or the trail's own template; `latest`
    are the results about the artifact or the trail as a whole, `outcomes` the decided approvals of the trail, if one
    is required. `readable`: the trail is within the tenant's scopes.
    """

    report_id: UUID
    flow_id: UUID
    trail_id: UUID
    candidate: Candidate
    asked: Asked
    latest: Sequence[LatestResult]
    outcomes: Sequence[ApprovalOutcome]
    readable: bool


_COLUMNS = "id, digest, flow_id, trail_id, coalesce(slot, name) AS name, created_at"
_NEWEST_FIRST = "ORDER BY flow_id DESC, created_at DESC, id DESC LIMIT 1"
_NEWEST = f"""
WITH RECURSIVE newest AS (
  SELECT first.* FROM unnest($2::text[]) AS wanted(digest) CROSS JOIN LATERAL (
    SELECT {_COLUMNS} FROM artifact_reports
    WHERE org_id = $1 AND digest = wanted.digest {_NEWEST_FIRST}
  ) first
  UNION ALL
  SELECT following.* FROM newest CROSS JOIN LATERAL (
    SELECT {_COLUMNS} FROM artifact_reports
    WHERE org_id = $1 AND digest = newest.digest AND flow_id < newest.flow_id {_NEWEST_FIRST}
  ) following
)
SELECT id, digest, flow_id, trail_id, name FROM newest ORDER BY created_at DESC, id DESC
"""
"""One index probe for each digest and flow, however often the digest was reported there."""

_ASKED = f"""
SELECT array_agg(t.id) AS trail_ids, array_agg(t.git_repository) AS repositories, {ASKED_IN_TEXTS}
FROM trails t JOIN flow_versions v ON v.flow_id = t.flow_id AND v.version = t.flow_version
WHERE t.org_id = $1 AND t.id = ANY($2::uuid[])
GROUP BY v.flow_id, v.version, t.template
"""
"""Requirements are read once for all trails that share them."""


async def newest_reports(
    reader: Reader, tenant: Tenant, digests: Collection[str]
) -> Mapping[str, Sequence[NewestReport]]:
    """Return the newest report in each flow for every digest that has any, newest first.

    It takes three statements, and another one if a flow requires approvals.
    Scopes hide nothing here, for they must not change what is concluded: see `readable`.
    """
    rows = await reader.rows(_NEWEST, tenant.org_id, list(digests)) if digests else []
    if not rows:
        return {}
    trail_ids = list({row["trail_id"] for row in rows})
    trails = _trails(await reader.rows(_ASKED, tenant.org_id, trail_ids))
    outcomes = await required_outcomes(reader, {trail_id: asked for trail_id, (asked, _) in trails.items()})
    latest = await latest_rows_of(reader, trail_ids)
    return await in_thread_if(len(rows) > MAX_ON_LOOP, _put_together, tenant, rows, trails, outcomes, latest)


Trails = Mapping[UUID, tuple[Asked, str | None]]
"""What each trail requires, and its repository."""


def _put_together(
    tenant: Tenant,
    rows: Sequence[Row],
    trails: Trails,
    outcomes: Mapping[UUID, Sequence[ApprovalOutcome]],
    latest: Sequence[Row],
) -> Mapping[str, Sequence[NewestReport]]:
    results = _Results(latest)
    found: dict[str, list[NewestReport]] = defaultdict(list)
    for row in rows:
        flow_id, trail_id, candidate = row["flow_id"], row["trail_id"], Candidate(row["name"], row["digest"])
        requirements, repository = trails[trail_id]
        readable = tenant.scopes is None or tenant.scopes.contain(flow_id, repository)
        about, approvals = results.about(trail_id, candidate), outcomes.get(trail_id, ())
        found[candidate.digest].append(
            NewestReport(row["id"], flow_id, trail_id, candidate, requirements, about, approvals, readable)
        )
    return found


def _trails(asked: Sequence[Row]) -> Trails:
    found = {}
    for row in asked:
        requirements = asked_in_texts(row)
        for trail_id, repository in zip(row["trail_ids"], row["repositories"], strict=True):
            found[trail_id] = requirements, repository
    return found


class _Results:
    """Latest results by trail and by what they are about: the artifacts of a trail do not each go through all of it."""

    def __init__(self, latest: Sequence[Row]) -> None:
        self._by_subject: dict[tuple[UUID, str, str], list[LatestResult]] = defaultdict(list)
        for row in latest:
            self._by_subject[row["trail_id"], row["slot"], row["digest"]].append(latest_result(row))

    def about(self, trail_id: UUID, candidate: Candidate) -> list[LatestResult]:
        """Return what `domain.facts.evaluation.about` would select of the trail's results."""
        subjects = {(slot, digest): None for slot in ("", candidate.name) for digest in ("", candidate.digest)}
        return [one for subject in subjects for one in self._by_subject.get((trail_id, *subject), ())]
