"""What the policies that are attached to environments say about what runs there."""

from collections.abc import Collection, Mapping, Sequence
from uuid import UUID

from domain.environments.allow_list import AllowListEntry, matching
from domain.environments.artifacts import Running as RunningArtifact
from domain.environments.compliance import MAX_REASONS, Artifact, AttachedPolicy, PolicyFindings, Reason
from domain.facts.approvals import ApprovalOutcome
from domain.facts.attestations import ResultStatus
from domain.facts.evaluation import Candidate
from domain.facts.trails import TrailStatus
from domain.gates.evaluation import (
    Evidence,
    PolicyOutcome,
    PolicyResult,
    PolicyVersion,
    ScanFinding,
    evaluate,
    evaluate_unreported,
    needed,
    status_without_approval,
    without_opa,
)
from domain.gates.rules import Check
from domain.tenant import Tenant
from storage.database import Reader, Row
from storage.environments.queries.allow_list import effective_entries
from storage.environments.queries.attached_policies import Artifacts, Reports, Running
from storage.facts.queries.approval_outcomes import outcomes_of
from storage.facts.queries.artifacts import candidates_of
from storage.facts.queries.latest_results import latest_result, latest_rows_of
from storage.facts.queries.newest_reports import MAX_ON_LOOP, NewestReport
from storage.facts.queries.provenance import ProvenanceStanding, provenance_standings
from storage.gates.queries.evidence import OF_PROVENANCE, provenance_state
from storage.gates.queries.policies import applicable_policies
from storage.gates.queries.security_scans import breached_scans
from storage.threads import in_thread_if


async def findings_of_environments(
    reader: Reader, tenant: Tenant, running: Running, reports: Reports
) -> Mapping[UUID, PolicyFindings]:
    """Return what the policies of each environment that has any say about what runs there.

    What its allow-list lets through is exempt from them. Rules for OPA are left to the gate: bundles are evaluated for
    one artifact, when it is to be deployed. Without policies it takes one statement, otherwise seven at most.
    """
    attached = (await applicable_policies(reader, tenant, (), running)).of_environments if running else {}
    policies = {one: list(map(without_opa, attached[one])) for one in running if one in attached}
    if not policies:
        return {}
    allowed = await effective_entries(reader, tenant, policies)
    many = sum(len(running[one].digests) * len(some) for one, some in policies.items()) > MAX_ON_LOOP
    slow = many or any(entry.pattern for entries in allowed.values() for entry in entries)
    judged = await in_thread_if(slow, lambda: {one: _not_allowed(running[one], allowed[one]) for one in policies})
    concerning = await in_thread_if(many, _concerning, reports, judged)
    checks = needed(policy for some in policies.values() for policy in some)
    evidence = await _evidence(reader, tenant, concerning, checks)
    return await in_thread_if(many, _findings, policies, judged, _Evaluation(evidence, concerning))


def _not_allowed(running: Artifacts, entries: Sequence[AllowListEntry]) -> Sequence[Artifact]:
    """Return what the allow-list of its environment does not let through."""
    if not entries:
        return list(running.paired())
    exempt = matching(entries, [RunningArtifact(name, digest, None) for name, digest in running.paired()])
    return [(name, digest) for name, digest in running.paired() if RunningArtifact(name, digest, None) not in exempt]


def _concerning(reports: Reports, judged: Mapping[UUID, Sequence[Artifact]]) -> Reports:
    """Return the reports of what is judged."""
    digests = {digest for artifacts in judged.values() for _, digest in artifacts}
    return {digest: reports[digest] for digest in digests if digest in reports}


async def _evidence(
    reader: Reader, tenant: Tenant, reports: Reports, checks: Collection[Check]
) -> Mapping[str, Sequence[Evidence]]:
    """Return as much as the rules look at, by digest, with a statement for each kind of fact.

    What is reported of a trail as a whole is summed up once, however many of its artifacts run.
    """
    every = [report for found in reports.values() for report in found]
    provenance: Mapping[UUID, ProvenanceStanding] = {}
    if not OF_PROVENANCE.isdisjoint(checks):
        provenance = await provenance_standings(reader, tenant, [one.report_id for one in every])
    approvals: Mapping[UUID, Sequence[ApprovalOutcome]] = {}
    if Check.APPROVAL in checks:
        approvals = await outcomes_of(reader, {one.trail_id for one in every})
    statuses = await _statuses(reader, tenant, every) if Check.TRAIL_COMPLIANCE in checks else {}
    scans = await _breached(reader, tenant, every) if Check.SECURITY_SCANS in checks else {}

    def made(report: NewestReport) -> Evidence:
        return Evidence(
            flow_id=report.flow_id,
            trail_id=report.trail_id,
            candidate=report.candidate,
            asked=report.asked,
            latest=report.latest,
            provenance=provenance_state(provenance.get(report.report_id)),
            approvals=approvals.get(report.trail_id, report.outcomes),
            failed={one: scans[one] for one in scans.keys() & {one.attestation_id for one in report.latest}},
            status=statuses.get(report.trail_id),
        )

    return await in_thread_if(
        len(every) > MAX_ON_LOOP, lambda: {one: list(map(made, found)) for one, found in reports.items()}
    )


async def _breached(reader: Reader, tenant: Tenant, reports: Sequence[NewestReport]) -> Mapping[UUID, ScanFinding]:
    """Return the security scans that did not pass, by attestation."""
    failed = {found.attestation_id for one in reports for found in one.latest if found.status is ResultStatus.FAILED}
    return await breached_scans(reader, tenant, failed)


async def _statuses(reader: Reader, tenant: Tenant, reports: Sequence[NewestReport]) -> Mapping[UUID, TrailStatus]:
    """Return the status of each trail, approvals aside."""
    asked = {one.trail_id: one.asked for one in reports}
    templated = [trail_id for trail_id, one in asked.items() if one.requirements.artifacts]
    artifacts = await candidates_of(reader, tenant, templated)
    rows = await latest_rows_of(reader, list(asked))

    def found() -> Mapping[UUID, TrailStatus]:
        latest: dict[UUID, list[Row]] = {trail_id: [] for trail_id in asked}
        for row in rows:
            latest[row["trail_id"]].append(row)
        return {
            trail_id: status_without_approval(
                one, [latest_result(row) for row in latest[trail_id]], artifacts.get(trail_id, ())
            )
            for trail_id, one in asked.items()
        }

    return await in_thread_if(len(rows) > MAX_ON_LOOP, found)


class _Evaluation:
    """Evaluates each policy once for an artifact, wherever it runs; several times only if approvals differ by place."""

    def __init__(self, evidence: Mapping[str, Sequence[Evidence]], reports: Reports) -> None:
        self._evidence = evidence
        self._reports = reports
        self._results: dict[tuple[UUID, Artifact, UUID | None], PolicyResult] = {}

    def lacking(
        self, policies: Sequence[PolicyVersion], artifact: Artifact, environment_id: UUID
    ) -> Sequence[Reason] | None:
        """Return why an artifact does not fulfil policies: None if none of them applies to it."""
        evidence = self._evidence.get(artifact[1], ())
        place = environment_id if _differs_by_place(evidence) else None
        results = [self._result(policy, artifact, evidence, place) for policy in policies]
        applying = [one for one in results if one.outcome is not PolicyOutcome.NOT_APPLICABLE]
        hidden = {one.flow_id for one in self._reports.get(artifact[1], ()) if not one.readable}
        reasons = (
            reason.out_of_scope() if reason.flow_id in hidden else reason for one in applying for reason in one.reasons
        )
        return tuple(dict.fromkeys(reasons))[:MAX_REASONS] if applying else None

    def _result(
        self, policy: PolicyVersion, artifact: Artifact, evidence: Sequence[Evidence], place: UUID | None
    ) -> PolicyResult:
        key = policy.id, artifact, place
        if key not in self._results:
            self._results[key] = (
                evaluate(policy, evidence, place) if evidence else evaluate_unreported(policy, Candidate(*artifact))
            )
        return self._results[key]


def _differs_by_place(evidence: Sequence[Evidence]) -> bool:
    return any(approval.environment_id is not None for one in evidence for approval in one.approvals)


def _findings(
    policies: Mapping[UUID, Sequence[PolicyVersion]],
    running: Mapping[UUID, Sequence[Artifact]],
    evaluation: _Evaluation,
) -> Mapping[UUID, PolicyFindings]:
    found = {}
    for environment_id, applying in policies.items():
        lacking = {one: evaluation.lacking(applying, one, environment_id) for one in running[environment_id]}
        found[environment_id] = PolicyFindings(
            [AttachedPolicy(one.id, one.version, one.name) for one in applying],
            {artifact: reasons for artifact, reasons in lacking.items() if reasons is not None},
        )
    return found
