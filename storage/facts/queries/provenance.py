"""Reading provenance with its newest check."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from domain.errors import NotFound
from domain.facts.digests import normalise_digest
from domain.facts.provenance import Build, BuilderType, Check, CheckStatus, Provenance, ProvenanceClaim, SlsaLevel
from domain.facts.verdicts import Verdict
from domain.facts.vsa import ProvenanceThen, reports_of
from domain.tenant import Tenant
from storage.database import Reader, Row
from storage.facts.queries.artifacts import REPORTS
from storage.facts.queries.trails import get_trail
from storage.paging import Where
from storage.rows import columns, from_row

_build = from_row(Build)

_PROVENANCE = f"""
SELECT p.id, p.report_id, p.trail_id, p.digest, p.builder_type, p.slsa_level, p.signature, p.envelope, p.created_at,
       {columns(Build, prefix="p.")},
       c.n, c.status, c.reason, c.key_id, k.key_id AS signer, c.predicate_type, c.created_at AS checked_at
FROM provenance p
JOIN LATERAL (
  SELECT n, status, reason, key_id, predicate_type, created_at FROM provenance_checks
  WHERE provenance_id = p.id ORDER BY n DESC LIMIT 1
) c ON true
LEFT JOIN provenance_keys k ON k.id = c.key_id
"""


@dataclass(frozen=True, slots=True)
class Subject:
    """The artifact that provenance describes: one report of a digest on a trail."""

    report_id: UUID
    trail_id: UUID
    digest: str


_SUBJECT = "SELECT digest FROM artifact_reports r"


async def get_subject(reader: Reader, tenant: Tenant, trail_id: UUID, report_id: UUID) -> Subject:
    """Return an artifact of a trail. Raises NotFound for the trail, and for an artifact that it does not have."""
    where = Where(("r.org_id = $1", "r.trail_id = $2", "r.id = $3"), (tenant.org_id, trail_id, report_id)).within(
        tenant, REPORTS
    )
    digest = await reader.value(f"{_SUBJECT} WHERE {where}", *where.values)
    if digest is None:
        await get_trail(reader, tenant, trail_id)
        raise NotFound(f"There is no artifact {report_id} on trail {trail_id}.")
    return Subject(report_id, trail_id, digest)


async def find_provenance(reader: Reader, tenant: Tenant, subject: Subject) -> Provenance | None:
    """Return the provenance of an artifact; None if none is recorded."""
    row = await reader.row(f"{_PROVENANCE} WHERE p.org_id = $1 AND p.report_id = $2", tenant.org_id, subject.report_id)
    return _made(row) if row else None


async def get_provenance(reader: Reader, tenant: Tenant, trail_id: UUID, report_id: UUID) -> Provenance:
    """Return the provenance of an artifact. Raises NotFound for the trail, the artifact, and missing provenance."""
    found = await find_provenance(reader, tenant, await get_subject(reader, tenant, trail_id, report_id))
    if found is None:
        raise NotFound(f"No provenance is recorded for artifact {report_id}.")
    return found


async def get_provenance_of_digest(reader: Reader, tenant: Tenant, digest: str) -> Provenance:
    """Return the provenance of the newest report of a digest, in any spelling, that has provenance.

    Raises NotFound, with a message that tells whether the artifact or its provenance is missing.
    """
    normal = normalise_digest(digest)
    recorded = Where(("p.org_id = $1", "p.digest = $2"), (tenant.org_id, normal)).within(tenant, REPORTS)
    row = await reader.row(
        f"{_PROVENANCE} JOIN artifact_reports r ON r.id = p.report_id WHERE {recorded} "
        "ORDER BY r.created_at DESC, r.id DESC LIMIT 1",
        *recorded.values,
    )
    if row is None:
        reported = Where(("r.org_id = $1", "r.digest = $2"), (tenant.org_id, normal)).within(tenant, REPORTS)
        known = await reader.value(f"SELECT EXISTS (SELECT FROM artifact_reports r WHERE {reported})", *reported.values)
        raise NotFound(f"No provenance is recorded for {normal}." if known else f"There is no artifact {normal}.")
    return _made(row)


@dataclass(frozen=True, slots=True)
class ProvenanceStanding:
    """The newest check of an artifact's provenance. `revoked_at` is when the key of its signature was deleted."""

    provenance_id: UUID
    check: int
    verified: bool
    revoked_at: datetime | None


_STANDINGS = """
SELECT p.report_id, p.id, c.n, c.status, k.archived_at
FROM provenance p
JOIN LATERAL (
  SELECT n, status, key_id FROM provenance_checks WHERE provenance_id = p.id ORDER BY n DESC LIMIT 1
) c ON true
LEFT JOIN provenance_keys k ON k.id = c.key_id
WHERE p.org_id = $1 AND p.report_id = ANY($2::uuid[])
"""


async def provenance_standings(
    reader: Reader, tenant: Tenant, report_ids: Sequence[UUID]
) -> Mapping[UUID, ProvenanceStanding]:
    """Return the standing of the provenance of each report that has any."""
    rows = await reader.rows(_STANDINGS, tenant.org_id, report_ids)
    return {row["report_id"]: _standing(row) for row in rows}


_CITED = """
SELECT p.id, c.n, c.status, k.archived_at
FROM unnest($2::uuid[], $3::int[]) AS cited(id, n)
JOIN provenance p ON p.id = cited.id AND p.org_id = $1
JOIN provenance_checks c ON c.provenance_id = p.id AND c.n = cited.n
LEFT JOIN provenance_keys k ON k.id = c.key_id
"""


async def cited_provenance(
    reader: Reader, tenant: Tenant, cited: Sequence[tuple[UUID, int]]
) -> Mapping[UUID, ProvenanceStanding]:
    """Return the cited check of each provenance: (provenance id, number of the check)."""
    ids, numbers = [one for one, _ in cited], [n for _, n in cited]
    rows = await reader.rows(_CITED, tenant.org_id, ids, numbers)
    return {row["id"]: _standing(row) for row in rows}


def _standing(row: Row) -> ProvenanceStanding:
    return ProvenanceStanding(row["id"], row["n"], row["status"] == CheckStatus.VERIFIED, row["archived_at"])


def _made(row: Row) -> Provenance:
    claim = ProvenanceClaim(
        digest=row["digest"],
        build=_build(row),
        builder_type=BuilderType(row["builder_type"]),
        slsa_level=SlsaLevel(row["slsa_level"]),
        signature=row["signature"],
        envelope=row["envelope"],
    )
    check = Check(
        n=row["n"],
        status=CheckStatus(row["status"]),
        reason=row["reason"],
        key_id=row["key_id"],
        signer=row["signer"],
        predicate_type=row["predicate_type"],
        created_at=row["checked_at"],
    )
    return Provenance(row["id"], row["report_id"], row["trail_id"], claim, row["created_at"], check)


_THEN = """
SELECT p.id, p.slsa_level, c.id AS check_id, c.status, c.predicate_type
FROM provenance p
JOIN LATERAL (
  SELECT id, status, predicate_type FROM provenance_checks
  WHERE provenance_id = p.id AND created_at <= $4 ORDER BY n DESC LIMIT 1
) c ON true
WHERE p.org_id = $1 AND p.report_id = $2 AND p.digest = $3 AND p.created_at <= $4
"""
_then = from_row(ProvenanceThen, slsa_level=SlsaLevel, status=CheckStatus)


async def provenance_then(reader: Reader, tenant: Tenant, verdict: Verdict) -> ProvenanceThen | None:
    """Return the provenance of the artifact that a verdict judged, as it was then; None if none was recorded.

    Of several reports, the newest counts.
    """
    reports = reports_of(verdict)
    if not reports:
        return None
    row = await reader.row(_THEN, tenant.org_id, UUID(reports[0]["artifactId"]), verdict.digest, verdict.created_at)
    return _then(row) if row else None
