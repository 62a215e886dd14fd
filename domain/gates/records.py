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
