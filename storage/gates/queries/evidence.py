"""Reading what is known of artifacts: as much of it as the rules of the policies look at."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from domain.facts.approvals import ApprovalOutcome
from domain.facts.attestations import ResultStatus
from domain.facts.evaluation import Candidate, LatestResult, about
from domain.gates.evaluation import Evidence, ProvenanceState, ScanFinding
from domain.gates.rules import Check
from domain.gates.verdicts import Source
from domain.tenant import Tenant
from storage.database import Reader
from storage.facts.queries.approval_outcomes import outcomes_of
from storage.facts.queries.artifacts import candidates_of
from storage.facts.queries.asserted import Asserted
from storage.facts.queries.held_reports import HeldReport
from storage.facts.queries.latest_results import latest_results_of
from storage.facts.queries.provenance import ProvenanceStanding, provenance_standings
from storage.gates.queries.security_scans import breached_scans

_OF_RESULTS = frozenset({Check.ATTESTATION, Check.TRAIL_COMPLIANCE, Check.SECURITY_SCANS, Check.OPA})
OF_PROVENANCE = frozenset({Check.PROVENANCE, Check.VERIFIED_PROVENANCE, Check.SIGNATURE})
"""Checks that look at provenance."""

Report = HeldReport | Asserted
"""An artifact as it was reported on a trail that this transaction has locked."""


@dataclass(frozen=True, slots=True)
class _Facts:
    """What was read: by trail, provenance by report, scans by attestation."""

    latest: Mapping[UUID, Sequence[LatestResult]]
    artifacts: Mapping[UUID, Sequence[Candidate]]
    approvals: Mapping[UUID, Sequence[ApprovalOutcome]]
    provenance: Mapping[UUID, ProvenanceStanding]
    scans: Mapping[UUID, ScanFinding]


async def sources_of(
    reader: Reader, tenant: Tenant, reports: Sequence[Report], checks: Collection[Check]
) -> Mapping[UUID, Source]:
    """Return what is known by each report, with a bounded number of statements: at most one for each kind of fact."""
    facts = await _read(reader, tenant, reports, checks)
    whole_trail = Check.TRAIL_COMPLIANCE in checks
    return {one.report_id: _source(one, facts, whole_trail=whole_trail) for one in reports}


async def _read(reader: Reader, tenant: Tenant, reports: Sequence[Report], checks: Collection[Check]) -> _Facts:
    trail_ids = list(dict.fromkeys(one.trail_id for one in reports))
    latest = await latest_results_of(reader, trail_ids) if not _OF_RESULTS.isdisjoint(checks) else {}
    templated = [one.trail_id for one in reports if one.asked.requirements.artifacts]
    provenance: Mapping[UUID, ProvenanceStanding] = {}
    if not OF_PROVENANCE.isdisjoint(checks):
        provenance = await provenance_standings(reader, tenant, [one.report_id for one in reports])
    return _Facts(
        latest,
        await candidates_of(reader, tenant, templated) if Check.TRAIL_COMPLIANCE in checks else {},
        await outcomes_of(reader, trail_ids) if _approvals_count(reports, checks) else {},
        provenance,
        await _failed_scans(reader, tenant, latest) if Check.SECURITY_SCANS in checks else {},
    )


def _approvals_count(reports: Sequence[Report], checks: Collection[Check]) -> bool:
    flows_need_one = Check.TRAIL_COMPLIANCE in checks and any(one.asked.approval for one in reports)
    return flows_need_one or Check.APPROVAL in checks


async def _failed_scans(
    reader: Reader, tenant: Tenant, latest: Mapping[UUID, Sequence[LatestResult]]
) -> Mapping[UUID, ScanFinding]:
    failed = [one.attestation_id for some in latest.values() for one in some if one.status is ResultStatus.FAILED]
    return await breached_scans(reader, tenant, failed)


def _source(report: Report, facts: _Facts, *, whole_trail: bool) -> Source:
    on_trail = facts.latest.get(report.trail_id, ())
    latest = on_trail if whole_trail else about(report.candidate, on_trail)
    provenance = facts.provenance.get(report.report_id)
    evidence = Evidence(
        flow_id=report.flow_id,
        trail_id=report.trail_id,
        candidate=report.candidate,
        asked=report.asked,
        latest=latest,
        artifacts=facts.artifacts.get(report.trail_id, ()),
        provenance=provenance_state(provenance),
        approvals=facts.approvals.get(report.trail_id, ()),
        failed={one: facts.scans[one] for one in facts.scans.keys() & {one.attestation_id for one in latest}},
    )
    cited = (provenance.provenance_id, provenance.check) if provenance else None
    return Source(report.report_id, report.flow_version, report.own_template, cited, evidence)


def provenance_state(standing: ProvenanceStanding | None) -> ProvenanceState:
    """Return what the newest check of provenance says now, if there is provenance."""
    if standing is None:
        return ProvenanceState.NONE
    if not standing.verified:
        return ProvenanceState.UNVERIFIED
    return ProvenanceState.VERIFIED if standing.revoked_at is None else ProvenanceState.REVOKED
