"""Stored decisions of the gate: what they are based on, in a form that is sealed and can be evaluated again."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from domain.canonical import canonical_json, normalise
from domain.environments.compliance import Reason
from domain.facts.verdicts import in_order, latest_result_to_json
from domain.gates.evaluation import Evidence, Opinion, PolicyVersion, ProvenanceState, needed
from domain.gates.gate import GateDecision, Known
from domain.gates.rules import Check


@dataclass(frozen=True, slots=True)
class Source:
    """Where the evidence of one flow comes from: enough to read it again. `opinions` are decisions of OPA by bundle."""

    report_id: UUID
    flow_version: int
    own_template: bool
    provenance: tuple[UUID, int] | None
    evidence: Evidence
    opinions: Mapping[str, UUID] = field(default_factory=dict)

    def with_opinions(self, opinions: Mapping[str, Opinion], cited: Mapping[str, UUID]) -> "Source":
        """Return the same with what bundles of OPA said, by their names, and the decisions that are cited for it."""
        return replace(self, evidence=replace(self.evidence, opinions=opinions), opinions=cited)


@dataclass(frozen=True, slots=True)
class GateInputs:
    """What a decision is based on, and what was asked: `flow_id` and `trail_id` limit it, `claimed_by` is the asker."""

    known: Known
    sources: Sequence[Source]
    at: datetime
    flow_id: UUID | None = None
    trail_id: UUID | None = None
    claimed_by: str | None = None

    def with_sources(self, sources: Sequence[Source]) -> "GateInputs":
        """Return the same with other sources."""
        known = replace(self.known, evidence=[source.evidence for source in sources])
        return replace(self, known=known, sources=sources)

    def to_json(self) -> dict[str, Any]:
        """Return the form that is stored and sealed."""
        known = self.known
        place, entry = known.place, known.allowed_by
        return {
            "digest": known.digest,
            "at": normalise(self.at),
            "flowId": _text(self.flow_id),
            "trailId": _text(self.trail_id),
            "requestedBy": self.claimed_by,
            "environment": {
                "id": str(place.id),
                "version": place.version,
                "name": place.name,
                "blocked": place.blocks,
            }
            if place
            else None,
            "allowListEntry": str(entry.id) if entry else None,
            "default": known.default.value,
            "reports": [_source(one) for one in self.sources],
            "policies": [_policy(one) for one in known.policies],
        }


def result_to_json(known: Known, decision: GateDecision) -> dict[str, Any]:
    """Return what was decided in the form that is stored and sealed.

    `signatureVerified` is None if no policy looked at signatures.
    """
    return {
        "signatureVerified": _signature_verified(known),
        "reason": decision.message,
        "reasons": [reason_to_json(one) for one in decision.reasons],
        "policies": [
            {
                "id": str(one.policy.id),
                "version": one.policy.version,
                "name": one.policy.name,
                "outcome": one.outcome.value,
            }
            for one in decision.results
        ],
    }


def substance(result: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was decided, without the wording and the order of its reasons: later versions may improve both."""
    reasons = ({name: value for name, value in one.items() if name != "message"} for one in result["reasons"])
    told = {name: value for name, value in result.items() if name != "reason"}
    return {**told, "reasons": [json.loads(one) for one in sorted({canonical_json(one) for one in reasons})]}


def demands_to_json(policies: Sequence[PolicyVersion], source: Source) -> dict[str, Any]:
    """Return what the policies of a flow looked at for an assertion, in the form that is stored and sealed."""
    return {"policies": [_policy(one) for one in policies], "reports": [_source(source)]}


def _signature_verified(known: Known) -> bool | None:
    if needed(known.policies).isdisjoint({Check.SIGNATURE, Check.VERIFIED_PROVENANCE}):
        return None
    return any(one.provenance is ProvenanceState.VERIFIED for one in known.evidence)


def reason_to_json(reason: Reason) -> dict[str, Any]:
    """Return one reason in the form that is stored and sealed."""
    return {
        "code": reason.code.value,
        "message": reason.message,
        "attestationType": reason.attestation_type,
        "attestationName": reason.attestation_name,
        "attestationId": _text(reason.attestation_id),
        "flowId": _text(reason.flow_id),
        "trailId": _text(reason.trail_id),
        "policyId": _text(reason.policy_id),
    }


def _source(source: Source) -> dict[str, Any]:
    evidence = source.evidence
    return {
        "flowId": str(evidence.flow_id),
        "flowVersion": source.flow_version,
        "ownTemplate": source.own_template,
        "trailId": str(evidence.trail_id),
        "artifactId": str(source.report_id),
        "artifactName": evidence.candidate.name,
        "results": [latest_result_to_json(one) for one in in_order(evidence.latest)],
        "artifacts": [{"name": one.name, "digest": one.digest} for one in sorted(evidence.artifacts, key=_by_name)],
        "provenance": _provenance(source),
        "approvals": [str(one.id) for one in evidence.approvals],
        "failedScans": [
            {"attestationId": str(one), "tool": scan.tool, "breaches": list(scan.breaches)}
            for one, scan in sorted(evidence.failed.items())
        ],
        "opinions": {bundle: str(one) for bundle, one in sorted(source.opinions.items())},
    }


def _provenance(source: Source) -> dict[str, Any] | None:
    if source.provenance is None:
        return None
    provenance_id, check = source.provenance
    return {"id": str(provenance_id), "check": check, "state": source.evidence.provenance.value}


def _policy(policy: PolicyVersion) -> dict[str, Any]:
    flows: Iterable[UUID] | None = policy.flows
    return {
        "id": str(policy.id),
        "version": policy.version,
        "name": policy.name,
        "flows": None if flows is None else sorted(map(str, flows)),
    }


def _by_name(candidate: Any) -> tuple[str, str]:
    return candidate.name, candidate.digest


def _text(value: UUID | None) -> str | None:
    return None if value is None else str(value)
