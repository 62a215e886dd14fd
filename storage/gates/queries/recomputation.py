"""Recomputing verdicts in which policies count from the facts that they cite."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from domain.environments.allow_list import AllowListEntry
from domain.environments.environments import DriftPolicy
from domain.errors import NotFound
from domain.facts.approvals import ApprovalOutcome
from domain.facts.evaluation import Asked, Candidate, LatestResult
from domain.facts.verdicts import Verdict
from domain.gates.evaluation import (
    Evidence,
    Opinion,
    PolicyVersion,
    ProvenanceState,
    ScanFinding,
    evaluate,
    without_opa,
)
from domain.gates.gate import MAX_AT_ONCE, GateOutcome, Known, Place, decide
from domain.gates.opa import OpaDecision
from domain.gates.verdicts import result_to_json, substance
from domain.tenant import Tenant
from storage.database import Reader, Row
from storage.environments.queries.allow_list import read_entry
from storage.environments.queries.environments import cited_environment
from storage.facts.queries.approval_outcomes import outcomes_with_ids
from storage.facts.queries.cited import (
    Cited,
    Recomputation,
    cited_reports,
    cited_requirements,
    cited_results,
    recomputed,
    result_differences,
)
from storage.facts.queries.provenance import ProvenanceStanding, cited_provenance
from storage.facts.queries.verdicts import recompute
from storage.gates.queries.evidence import provenance_state
from storage.gates.queries.flow_policies import shortcomings
from storage.gates.queries.opa_decisions import decisions_with_ids
from storage.gates.queries.policies import policy_versions
from storage.gates.queries.security_scans import breached_scans
from storage.threads import in_thread_if


@dataclass(frozen=True, slots=True)
class _Facts:
    """What the database has of everything that a decision cites."""

    requirements: Mapping[Cited, Asked]
    reports: Mapping[UUID, Row]
    latest: Mapping[tuple[UUID, int], LatestResult]
    provenance: Mapping[UUID, ProvenanceStanding]
    approvals: Mapping[UUID, ApprovalOutcome]
    scans: Mapping[UUID, ScanFinding]
    opinions: Mapping[UUID, OpaDecision]


async def recompute_gate(reader: Reader, tenant: Tenant, verdict: Verdict) -> Recomputation:
    """Recompute a decision, with a bounded number of statements: one for each kind of fact that it cites."""
    inputs, differences = verdict.inputs, []
    at = datetime.fromisoformat(inputs["at"])
    evidence, policies, different = await _judged(reader, tenant, inputs, at)
    differences += different
    place, different = await _place(reader, tenant, inputs)
    differences += different
    entry, different = await _entry(reader, tenant, inputs, at)
    differences += different
    known = Known(verdict.digest, place, entry, evidence, policies, GateOutcome(inputs["default"]))
    decision = await in_thread_if(known.size > MAX_AT_ONCE, decide, known)
    found = substance(result_to_json(known, decision))
    return recomputed(replace(verdict, result=substance(verdict.result)), decision.outcome.value, found, differences)


async def recompute_assertion(reader: Reader, tenant: Tenant, verdict: Verdict) -> Recomputation:
    """Recompute an assertion with what the policies of its flow demanded, if there were any."""
    if "policies" not in verdict.inputs:
        return await recompute(reader, tenant, verdict)
    evidence, policies, differences = await _judged(reader, tenant, verdict.inputs, verdict.created_at)
    lacking = list(shortcomings([evaluate(without_opa(policy), evidence, None) for policy in policies]))
    found = await recompute(reader, tenant, verdict, lacking)
    return replace(found, differences=list(dict.fromkeys([*differences, *found.differences])))


async def _judged(
    reader: Reader, tenant: Tenant, inputs: Mapping[str, Any], at: datetime
) -> tuple[list[Evidence], list[PolicyVersion], list[str]]:
    """Return the evidence and the policies that are cited, as the database has them, and what differs."""
    facts = await _facts(reader, tenant, inputs)
    found = [_evidence(report, facts, at) for report in inputs["reports"]]
    policies, differences = await _policies(reader, tenant, inputs)
    different = [one for _, some in found for one in some]
    return [evidence for evidence, _ in found if evidence is not None], policies, [*different, *differences]


async def _facts(reader: Reader, tenant: Tenant, inputs: Mapping[str, Any]) -> _Facts:
    reports = inputs["reports"]
    seen = [one for report in reports for one in report["results"]]
    provenance = [(UUID(one["id"]), one["check"]) for report in reports if (one := report["provenance"])]
    approvals = [UUID(one) for report in reports for one in report["approvals"]]
    scans = [UUID(one["attestationId"]) for report in reports for one in report["failedScans"]]
    opinions = [UUID(one) for report in reports for one in _opinions(report).values()]
    return _Facts(
        await cited_requirements(reader, tenant, [_cited(report) for report in reports]),
        await cited_reports(reader, tenant, [UUID(report["artifactId"]) for report in reports]),
        {(one.attestation_id, one.result_n): one for one in await cited_results(reader, tenant, seen)},
        await cited_provenance(reader, tenant, provenance),
        {one.id: one for one in await outcomes_with_ids(reader, tenant, approvals)},
        await breached_scans(reader, tenant, scans),
        await decisions_with_ids(reader, tenant, opinions),
    )


def _cited(report: Mapping[str, Any]) -> Cited:
    trail_id = UUID(report["trailId"])
    return Cited(UUID(report["flowId"]), report["flowVersion"], trail_id if report["ownTemplate"] else None)


def _evidence(report: Mapping[str, Any], facts: _Facts, at: datetime) -> tuple[Evidence | None, list[str]]:
    """Return the evidence of one report as the database has it, and what differs from what was looked at."""
    asked = facts.requirements.get(_cited(report))
    if asked is None:
        return None, [f"version {report['flowVersion']} of flow {report['flowId']} is gone"]
    found = facts.reports.get(UUID(report["artifactId"]))
    if found is None:
        return None, [f"artifact {report['artifactId']} is gone"]
    differences = _differing_report(report, found)
    wanted = ((UUID(one["attestationId"]), one["result"]) for one in report["results"])
    latest = [facts.latest[one] for one in wanted if one in facts.latest]
    approvals = {one: facts.approvals.get(UUID(one)) for one in report["approvals"]}
    scans = [UUID(one["attestationId"]) for one in report["failedScans"]]
    opinions = {bundle: facts.opinions.get(UUID(one)) for bundle, one in _opinions(report).items()}
    evidence = Evidence(
        flow_id=UUID(report["flowId"]),
        trail_id=found["trail_id"],
        candidate=Candidate(found["name"], found["digest"]),
        asked=asked,
        latest=latest,
        artifacts=[Candidate(one["name"], one["digest"]) for one in report["artifacts"]],
        approvals=[one for one in approvals.values() if one],
        failed={one: facts.scans[one] for one in scans if one in facts.scans},
        opinions={bundle: Opinion(one.allow, one.reasons) for bundle, one in opinions.items() if one},
    )
    provenance, different = _provenance(report["provenance"], facts, at)
    differences += [*result_differences(report["results"], latest), *different]
    differences += [f"the security scan of attestation {one} is gone" for one in scans if one not in facts.scans]
    differences += [f"the decision of the OPA bundle {one} is gone" for one, then in opinions.items() if not then]
    differences += [f"approval {one} is gone" for one, outcome in approvals.items() if outcome is None]
    return replace(evidence, provenance=provenance), differences


def _opinions(report: Mapping[str, Any]) -> Mapping[str, str]:
    """Return the cited decisions of OPA by bundle. Assertions have none."""
    cited: Mapping[str, str] = report["opinions"]
    return cited


def _differing_report(report: Mapping[str, Any], found: Row) -> list[str]:
    same = (str(found["trail_id"]), found["name"]) == (report["trailId"], report["artifactName"])
    return [] if same else [f"artifact {report['artifactId']} differs from what was judged"]


def _provenance(cited: Mapping[str, Any] | None, facts: _Facts, at: datetime) -> tuple[ProvenanceState, list[str]]:
    """Return what the cited check of provenance said then: a key that was deleted later was still valid."""
    if cited is None:
        return ProvenanceState.NONE, []
    found = facts.provenance.get(UUID(cited["id"]))
    if found is None:
        return ProvenanceState.NONE, [f"check {cited['check']} of provenance {cited['id']} is gone"]
    revoked_at = found.revoked_at if found.revoked_at and found.revoked_at <= at else None
    state = provenance_state(replace(found, revoked_at=revoked_at))
    same = state.value == cited["state"]
    return state, [] if same else [f"provenance {cited['id']} was {cited['state']} and is now {state.value}"]


async def _policies(reader: Reader, tenant: Tenant, inputs: Mapping[str, Any]) -> tuple[list[PolicyVersion], list[str]]:
    """Return the cited versions of policies, and which of them are gone or were renamed."""
    cited = {UUID(one["id"]): one for one in inputs["policies"]}
    known = await policy_versions(reader, tenant, {one: cited[one]["version"] for one in cited})
    found, differences = [], []
    for policy_id, then in cited.items():
        policy = known.get((policy_id, then["version"]))
        if policy is None or policy.name != then["name"]:
            differences.append(f"version {then['version']} of policy {policy_id} is not what was evaluated")
        if policy is not None:
            flows = None if then["flows"] is None else frozenset(map(UUID, then["flows"]))
            found.append(replace(policy, flows=flows))
    return found, differences


async def _place(reader: Reader, tenant: Tenant, inputs: Mapping[str, Any]) -> tuple[Place | None, list[str]]:
    """Return the environment as it was, and whether its version is not the one that is cited."""
    then = inputs["environment"]
    if then is None:
        return None, []
    place = Place(UUID(then["id"]), then["version"], then["name"], then["blocked"])
    version = await cited_environment(reader, tenant, place.id, place.version)
    same = version is not None and version["name"] == place.name
    may_block = version is not None and version["drift_policy"] == DriftPolicy.BLOCK
    if same and (may_block or not place.blocks):
        return place, []
    return place, [f"version {place.version} of environment {place.id} is not what was evaluated"]


async def _entry(
    reader: Reader, tenant: Tenant, inputs: Mapping[str, Any], at: datetime
) -> tuple[AllowListEntry | None, list[str]]:
    """Return the entry of the allow-list that let the artifact through, and whether it did not hold then."""
    if inputs["allowListEntry"] is None:
        return None, []
    entry_id = UUID(inputs["allowListEntry"])
    try:
        entry = await read_entry(reader, tenant, UUID(inputs["environment"]["id"]), entry_id)
    except NotFound:
        return None, [f"entry {entry_id} of the allow-list is gone"]
    removed = entry.removed_at is not None and entry.removed_at <= at
    holds = entry.created_at <= at and not removed and (entry.expires_at is None or at < entry.expires_at)
    return entry, [] if holds else [f"entry {entry_id} of the allow-list did not hold then"]
