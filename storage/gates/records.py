"""Where verification finds the sealed records of the gate."""

from domain.gates.opa import OPA_BUNDLE, OPA_DECISION
from domain.gates.records import (
    APPROVAL,
    APPROVAL_DECISION,
    APPROVAL_EXPIRY,
    POLICY,
    POLICY_ATTACHMENT,
    SECURITY_SCAN,
    SECURITY_THRESHOLD,
)
from storage.gates.tables import policies, policy_versions
from storage.ledger.records import RecordSource

_OF_VERSION = ("created_at", *(one.name for one in policy_versions.columns if one.name not in policies.columns))
_COLUMNS = ", ".join(f"{'v' if name in _OF_VERSION else 'p'}.{name}" for name in POLICY.columns)
_POLICY = f"SELECT {_COLUMNS} FROM policies p JOIN policy_versions v ON v.policy_id = p.id AND v.version = p.version"
_VERSIONS = f"SELECT policy_id AS id, {', '.join(name for name in POLICY.columns if name != 'id')} FROM policy_versions"
_THRESHOLD = """
SELECT t.id, t.org_id, t.flow_id, t.version, t.archived_at, v.max_critical, v.max_high, v.max_medium, v.max_low,
       v.created_by, v.created_at
FROM security_thresholds t
JOIN security_threshold_versions v ON v.security_threshold_id = t.id AND v.version = t.version
"""
_THRESHOLD_VERSIONS = """
SELECT security_threshold_id AS id, org_id, flow_id, version, archived_at, max_critical, max_high, max_medium, max_low,
       created_by, created_at
FROM security_threshold_versions
"""


RECORDS = (
    RecordSource(POLICY, "policies", _POLICY, "p.id", versions=_VERSIONS, versions_id="policy_id"),
    RecordSource.plain(POLICY_ATTACHMENT, "policy_attachments"),
    RecordSource.plain(APPROVAL, "approvals"),
    RecordSource.plain(APPROVAL_DECISION, "approval_decisions"),
    RecordSource.eventful(APPROVAL_EXPIRY),
    RecordSource.plain(OPA_BUNDLE, "opa_bundles"),
    RecordSource.plain(OPA_DECISION, "opa_decisions"),
    RecordSource.plain(SECURITY_SCAN, "security_scans"),
    RecordSource(
        SECURITY_THRESHOLD,
        "security_thresholds",
        _THRESHOLD,
        "t.id",
        versions=_THRESHOLD_VERSIONS,
        versions_id="security_threshold_id",
    ),
)
"""The record forms of the gate and the rows they are read from."""
