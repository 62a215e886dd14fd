"""Where verification finds the sealed records of the gate."""

from domain.gates.records import SECURITY_SCAN, SECURITY_THRESHOLD
from storage.ledger.records import RecordSource

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
