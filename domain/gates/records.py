"""The record forms of the gate."""

from domain.audit.records import VERSION, RecordForm
from domain.identity.permissions import Permission

POLICY = RecordForm(
    kind="policy",
    format=1,
    columns=(
        "id",
        "org_id",
        "kind",
        "name",
        "flow_id",
        "environment_id",
        "is_active",
        "version",
        "archived_at",
        "description",
        "enforce_provenance",
        "verify_provenance",
        "enforce_approvals",
        "enforce_trail_compliance",
        "require_signature",
        "block_failed_scans",
        "required_types",
        "opa_bundles",
        "yaml",
        "rules",
        "created_by",
        "created_at",
    ),
    read=Permission.FACTS_READ,
    version_column=VERSION,
)

POLICY_ATTACHMENT = RecordForm(
    kind="policy_attachment",
    format=1,
    columns=(
        "id",
        "org_id",
        "policy_id",
        "environment_id",
        "flow_id",
        "version",
        "created_at",
        "created_by",
        "archived_at",
    ),
    read=Permission.FACTS_READ,
    version_column=VERSION,
)

APPROVAL = RecordForm(
    kind="approval",
    format=1,
    columns=(
        "id",
        "org_id",
        "trail_id",
        "flow_id",
        "digest",
        "environment_id",
        "rule",
        "comments",
        "newest_commit",
        "oldest_commit",
        "requested_by",
        "requester",
        "claimed_by",
        "author",
        "deadline",
        "created_at",
    ),
    read=Permission.FACTS_READ,
)
"""An approval as it was requested; what became of it follows from its decisions and its deadline."""

APPROVAL_DECISION = RecordForm(
    kind="approval_decision",
    format=1,
    columns=(
        "id",
        "org_id",
        "approval_id",
        "decider",
        "resolution",
        "overrides",
        "comments",
        "meets",
        "roles",
        "decided_by",
        "claimed_by",
        "created_at",
    ),
    read=Permission.FACTS_READ,
)

APPROVAL_EXPIRY = RecordForm(kind="approval_expiry", format=1, columns=(), read=Permission.FACTS_READ)
"""An approval that expired undecided. It consists of its event."""

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
