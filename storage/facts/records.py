"""Where the declared records of the facts surface live."""

from domain.facts.records import ATTESTATION, FLOW, TRAIL, WEBHOOK_CONFIG
from storage.ledger.records import RecordSource

_FLOW = """
SELECT f.id, f.org_id, f.name, f.version, f.archived_at, v.description, v.required_types, v.tags, v.requires_approval,
       v.required_approver_roles, v.visibility, v.created_at, v.created_by
FROM flows f JOIN flow_versions v ON v.flow_id = f.id AND v.version = f.version
"""

_ATTESTATION = """
SELECT a.id, a.org_id, a.trail_id, a.type, a.name, a.digest, a.origin, a.source_id, a.details, a.description,
       a.evidence_url, a.user_data, a.claimed_by, a.reported_by, a.observed_at, a.created_at,
       r.status, r.reason, r.processor
FROM attestations a JOIN attestation_results r ON r.attestation_id = a.id AND r.n = 1
"""

RECORDS = (
    RecordSource(FLOW, "flows", _FLOW, "f.id"),
    RecordSource.plain(TRAIL, "trails"),
    RecordSource(ATTESTATION, "attestations", _ATTESTATION, "a.id"),
    RecordSource.plain(WEBHOOK_CONFIG, "webhook_configs"),
)
