"""Where verification finds the sealed records of the facts surface."""

from domain.facts.records import (
    APPROVAL_OUTCOME,
    ARTIFACT_REPORT,
    ATTESTATION,
    ATTESTATION_1,
    ATTESTATION_2,
    ATTESTATION_RESULT,
    EVIDENCE,
    FLOW,
    FLOW_1,
    PROVENANCE,
    PROVENANCE_CHECK,
    PROVENANCE_KEY,
    TRAIL,
    TRAIL_1,
    VERDICT,
    WEBHOOK_CONFIG,
)
from storage.ledger.records import RecordSource

_FLOW = """
SELECT f.id, f.org_id, f.name, f.version, f.archived_at, v.description, v.required_types, v.tags, v.requires_approval,
       v.required_approver_roles, v.visibility, v.created_at, v.created_by, v.template_text, v.template
FROM flows f JOIN flow_versions v ON v.flow_id = f.id AND v.version = f.version
"""
_FLOW_VERSIONS = """
SELECT flow_id AS id, org_id, name, version, archived_at, description, required_types, tags, requires_approval,
       required_approver_roles, visibility, created_at, created_by, template_text, template
FROM flow_versions
"""

_ATTESTATION = """
SELECT a.id, a.org_id, a.trail_id, a.type, a.name, a.digest, a.origin, a.source_id, a.details, a.description,
       a.evidence_url, a.user_data, a.claimed_by, a.reported_by, a.observed_at, a.created_at,
       r.status, r.reason, r.processor, a.slot, a.git_commit, a.payload, a.identity, a.run
FROM attestations a JOIN attestation_results r ON r.attestation_id = a.id AND r.n = 1
"""

_RESULT = """
SELECT id, org_id, attestation_id, n, status, reason, details, processor, evidence_id, created_at
FROM (SELECT * FROM attestation_results WHERE n > 1) AS later
"""

_OUTCOME = f"SELECT {', '.join(APPROVAL_OUTCOME.columns)} FROM approval_outcomes"

RECORDS = (
    RecordSource(FLOW, "flows", _FLOW, "f.id", older=(FLOW_1,), versions=_FLOW_VERSIONS, versions_id="flow_id"),
    RecordSource.plain(TRAIL, "trails", older=(TRAIL_1,)),
    RecordSource(ATTESTATION, "attestations", _ATTESTATION, "a.id", older=(ATTESTATION_2, ATTESTATION_1)),
    RecordSource(ATTESTATION_RESULT, "attestation_results", _RESULT),
    RecordSource.plain(ARTIFACT_REPORT, "artifact_reports"),
    RecordSource.plain(EVIDENCE, "evidence"),
    RecordSource.plain(PROVENANCE, "provenance"),
    RecordSource.plain(PROVENANCE_CHECK, "provenance_checks"),
    RecordSource.plain(PROVENANCE_KEY, "provenance_keys"),
    RecordSource.plain(VERDICT, "verdicts"),
    RecordSource(APPROVAL_OUTCOME, "approval_outcomes", _OUTCOME, "record_id"),
    RecordSource.plain(WEBHOOK_CONFIG, "webhook_configs"),
)
