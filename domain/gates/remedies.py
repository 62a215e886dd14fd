"""What mends each reason for which the gate blocks an artifact: for the person who reads it."""

from collections.abc import Mapping
from typing import Any

from domain.environments.compliance import ReasonCode

_REMEDIES: Mapping[ReasonCode, str] = {
    ReasonCode.NOT_REPORTED: "Report the artifact on a trail of its flow, or check the digest.",
    ReasonCode.ATTESTATION_MISSING: "Record the attestation {label} with the status PASSED on trail {trailId}.",
    ReasonCode.ATTESTATION_PENDING: "Wait for the attestation {label}, or record its result on trail {trailId}.",
    ReasonCode.ATTESTATION_FAILED: "Mend what {label} found, run it again, and record its result on trail {trailId}.",
    ReasonCode.APPROVAL_MISSING: "Have an approval of trail {trailId} granted; request one unless one is waiting.",
    ReasonCode.APPROVAL_REJECTED: "Mend what led to the rejection, then request another approval on trail {trailId}.",
    ReasonCode.PROVENANCE_MISSING: "Record the provenance of the artifact on trail {trailId}.",
    ReasonCode.PROVENANCE_UNVERIFIED: "Record provenance signed by a registered key, and verify it.",
    ReasonCode.SIGNATURE_MISSING: "Record provenance signed by a registered key, and verify it.",
    ReasonCode.TRAIL_NON_COMPLIANT: "Mend what failed on trail {trailId}; its attestations say what.",
    ReasonCode.TRAIL_PENDING: "Record what trail {trailId} still needs; its flow says what is required.",
    ReasonCode.SECURITY_SCAN_FAILED: "Mend the findings and record another scan on trail {trailId}.",
    ReasonCode.OPA_DENIED: "Mend what the bundle denies; `POST /api/v1/opa/evaluate` shows the input that it looks at.",
    ReasonCode.OPA_UNAVAILABLE: "Activate a bundle of this name; if one is active, give `flowId` in the question.",
    ReasonCode.POLICY_UNREADABLE: "Save the policy again; until then it blocks everything.",
    ReasonCode.REQUIREMENTS_UNREADABLE: "Correct the condition; a rule whose condition has an error always applies.",
    ReasonCode.ENVIRONMENT_DRIFTED: "Bring the environment back in line, or approve what runs as its baseline.",
    ReasonCode.NO_POLICY: "Attach a policy to the environment or make a deployment policy of the flow.",
}


def remedy(reason: Mapping[str, Any]) -> str | None:
    """Return what mends a reason, which is given in its stored form; None if nothing is known to."""
    text = _REMEDIES.get(ReasonCode(reason["code"]))
    label = reason["attestationName"] or reason["attestationType"]
    return text.format(label=label, trailId=reason["trailId"]) if text else None
