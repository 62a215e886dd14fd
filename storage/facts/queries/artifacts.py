"""Reading reported artifacts."""

from collections.abc import Sequence
from uuid import UUID

from domain.facts.artifacts import ArtifactReport, ReportKey
from domain.facts.digests import normalise_digest
from domain.facts.evaluation import Candidate
from domain.tenant import Tenant
from storage.batches import Rows
from storage.database import Reader
from storage.facts.queries.scoping import limits_on_trail
from storage.facts.queries.trails import get_trail
from storage.paging import Listing, Page, Window, fetch_page
from storage.rows import from_row

_COLUMNS = """
r.id, r.org_id, r.flow_id, r.trail_id, r.digest, r.slot, r.name, r.tag, r.registry, r.artifact_type, r.git_commit,
r.build_url, r.commit_url, r.annotations, r.observed_at, r.created_at,
coalesce(r.claimed_by, w.username, r.reported_by::text) AS reporter,
CASE WHEN p.id IS NULL THEN 'NO_PROVENANCE' WHEN c.status = 'VERIFIED' THEN 'PROVENANCE_VERIFIED'
     ELSE 'PROVENANCE_UNVERIFIED' END AS provenance_status
"""

_SOURCE = """
artifact_reports r
LEFT JOIN principals w ON w.id = r.reported_by AND w.erased_at IS NULL
LEFT JOIN provenance p ON p.report_id = r.id
LEFT JOIN LATERAL (
  SELECT status FROM provenance_checks WHERE provenance_id = p.id ORDER BY n DESC LIMIT 1
) c ON true
"""

_report = from_row(ArtifactReport)

REPORTS = limits_on_trail("r", flow_id=True)
"""How scopes limit rows of `artifact_reports r`."""

_REPORTS = Listing("artifact", _COLUMNS, _SOURCE, _report, alias="r.", counted="artifact_reports r", limits=REPORTS)


async def list_trail_artifacts(reader: Reader, tenant: Tenant, trail_id: UUID, window: Window) -> Page[ArtifactReport]:
    """List the artifacts reported on a trail, oldest first. Raises NotFound for the trail."""
    await get_trail(reader, tenant, trail_id)
    return await _REPORTS.page(
        reader, tenant.unscoped, window, within={"r.trail_id = {}": trail_id}, counter=("artifacts", trail_id)
    )


async def list_artifacts(
    reader: Reader, tenant: Tenant, digest: str, window: Window, *, flow_id: UUID | None = None, name: str | None = None
) -> Page[ArtifactReport]:
    """List the reports of one digest, in any spelling, over all trails, oldest first; an unknown digest has none."""
    return await _REPORTS.page(
        reader,
        tenant,
        window,
        within={"r.digest = {}": normalise_digest(digest)},
        filters={"r.flow_id = {}": flow_id, "r.name = {}": name},
    )


async def newest_report(reader: Reader, tenant: Tenant, digest: str, trail_id: UUID | None) -> ArtifactReport | None:
    """Return the newest report of a digest, on a given trail or on any."""
    where = _REPORTS.of(tenant).and_("r.digest = {}", normalise_digest(digest))
    where = where.and_("r.trail_id = {}", trail_id) if trail_id else where
    found, _ = await fetch_page(reader, _REPORTS, where, Window(1, descending=True))
    return found[0] if found else None


_KEYS = Rows({"place": "int", "trail_id": "uuid", "digest": "text", "name": "text", "tag": "text"})
_OF_KEYS = f"""
SELECT {_COLUMNS} FROM {_SOURCE}
JOIN {_KEYS.source("k", 2)}
  ON r.trail_id = k.trail_id AND r.digest = k.digest AND r.name = k.name AND r.tag IS NOT DISTINCT FROM k.tag
WHERE r.org_id = $1
ORDER BY k.place
"""


async def reports_of_keys(reader: Reader, tenant: Tenant, keys: Sequence[ReportKey]) -> list[ArtifactReport]:
    """Return the report of each key that has one, in the order of the keys."""
    wanted = [{"place": place, **key._asdict()} for place, key in enumerate(keys)]
    return [_report(row) for row in await reader.rows(_OF_KEYS, tenant.org_id, *_KEYS.arrays(wanted))]


_CANDIDATES = """
SELECT DISTINCT trail_id, coalesce(slot, name) AS name, digest FROM artifact_reports
WHERE org_id = $1 AND trail_id = ANY($2::uuid[])
"""


async def candidates_of(reader: Reader, tenant: Tenant, trail_ids: Sequence[UUID]) -> dict[UUID, list[Candidate]]:
    """Return the artifacts reported on each trail, as input of the evaluation."""
    found: dict[UUID, list[Candidate]] = {trail_id: [] for trail_id in trail_ids}
    for row in await reader.rows(_CANDIDATES, tenant.org_id, trail_ids) if trail_ids else ():
        found[row["trail_id"]].append(Candidate(row["name"], row["digest"]))
    return found
