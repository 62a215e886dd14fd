"""The record forms of the gate."""

from domain.audit.records import VERSION, RecordForm
from domain.identity.permissions import Permission

SECURITY_SCAN = RecordForm(
    kind="security_scan",
    format=1,
    columns=(
        "id",
        "org_id",
        "trail_id",
        "flow_id",
        "attestation_id",
        "tool",
        "tool_version",
        "scan_type",
        "target",
        "digest",
        "critical",
        "high",
        "medium",
        "low",
        "informational",
        "duration_seconds",
        "report_url",
        "report",
        "thresholds",
        "threshold_id",
        "threshold_version",
        "passed",
        "breach_details",
        "reason",
        "source_ref",
        "recorded_by",
        "created_at",
    ),
    read=Permission.FACTS_READ,
)

SECURITY_THRESHOLD = RecordForm(
    kind="security_threshold",
    format=1,
    columns=(
        "id",
        "org_id",
        "flow_id",
        "version",
        "archived_at",
        "max_critical",
        "max_high",
        "max_medium",
        "max_low",
        "created_by",
        "created_at",
    ),
    read=Permission.FACTS_READ,
    version_column=VERSION,
)
