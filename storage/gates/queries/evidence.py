"""Reading what is known of artifacts: as much of it as the rules of the policies look at."""

from collections.abc import Collection, Mapping, Sequence
from uuid import UUID

from domain.facts.approvals import ApprovalOutcome
from domain.facts.evaluation import Candidate, LatestResult, about
from domain.gates.evaluation import Evidence, ProvenanceState
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

_OF_RESULTS = frozenset({Check.ATTESTATION, Check.TRAIL_COMPLIANCE, Check.SECURITY_SCANS, Check.OPA})
OF_PROVENANCE = frozenset({Check.PROVENANCE, Check.VERIFIED_PROVENANCE, Check.SIGNATURE})
"""Checks that look at provenance."""


async def sources_of(
    reader: Reader, tenant: Tenant, reports: Sequence[HeldReport | Asserted], checks: Collection[Check]
) -> Mapping[UUID, Source]:
    """Return what is known by each report, with a bounded number of statements: at most one for each kind of fact."""
    whole_trail = Check.TRAIL_COMPLIANCE in checks
    trail_ids = list(dict.fromkeys(one.trail_id for one in reports))
    latest = await latest_results_of(reader, trail_ids) if not _OF_RESULTS.isdisjoint(checks) else {}
    templated = [one.trail_id for one in reports if one.asked.requirements.artifacts] if whole_trail else []
    artifacts = await candidates_of(reader, tenant, templated)
    approvals = await outcomes_of(reader, trail_ids) if _approvals_count(reports, checks) else {}
    provenance: Mapping[UUID, ProvenanceStanding] = {}
    if not OF_PROVENANCE.isdisjoint(checks):
        provenance = await provenance_standings(reader, tenant, [one.report_id for one in reports])
    return {
        one.report_id: _source(
            one,
            latest.get(one.trail_id, ()) if whole_trail else about(one.candidate, latest.get(one.trail_id, ())),
            artifacts.get(one.trail_id, ()),
            approvals.get(one.trail_id, ()),
            provenance.get(one.report_id),
        )
        for one in reports
    }


def _approvals_count(reports: Sequence[HeldReport | Asserted], checks: Collection[Check]) -> bool:
    flows_need_one = Check.TRAIL_COMPLIANCE in checks and any(one.asked.approval for one in reports)
    return flows_need_one or Check.APPROVAL in checks


def _source(
    report: HeldReport | Asserted,
    latest: Sequence[LatestResult],
    artifacts: Sequence[Candidate],
    approvals: Sequence[ApprovalOutcome],
    provenance: ProvenanceStanding | None,
) -> Source:
    evidence = Evidence(
        flow_id=report.flow_id,
        trail_id=report.trail_id,
        candidate=report.candidate,
        asked=report.asked,
        latest=latest,
        artifacts=artifacts,
        provenance=provenance_state(provenance),
        approvals=approvals,
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
