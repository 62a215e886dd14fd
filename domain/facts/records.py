"""The declared forms of the facts surface."""

from domain.records import VERSION, RecordForm

FLOW = RecordForm(
    kind="flow",
    format=1,
    columns=(
        "id",
        "org_id",
        "name",
        "version",
        "archived_at",
        "description",
        "required_types",
        "tags",
        "requires_approval",
        "required_approver_roles",
        "visibility",
        "created_at",
        "created_by",
    ),
    version_column=VERSION,
)

TRAIL = RecordForm(
    kind="trail",
    format=1,
    columns=(
        "id",
        "org_id",
        "flow_id",
        "flow_version",
        "name",
        "correlation_key",
        "git_commit_sha",
        "git_branch",
        "git_author",
        "git_author_email",
        "git_repository",
        "pull_request_id",
        "pull_request_reviewer",
        "deployment_actor",
        "build_url",
        "user_data",
        "version",
        "created_at",
    ),
    version_column=VERSION,
)

ATTESTATION = RecordForm(
    kind="attestation",
    format=1,
    columns=(
        "id",
        "org_id",
        "trail_id",
        "type",
        "name",
        "digest",
        "origin",
        "source_id",
        "details",
        "description",
        "evidence_url",
        "user_data",
        "claimed_by",
        "reported_by",
        "observed_at",
        "created_at",
        "status",
        "reason",
        "processor",
    ),
)
"""An attestation together with its first result (n = 1); later results are records of their own."""

WEBHOOK_CONFIG = RecordForm(
    kind="webhook_config",
    format=1,
    columns=(
        "id",
        "org_id",
        "source",
        "flow_id",
        "principal_id",
        "secret_id",
        "previous_secret_id",
        "previous_until",
        "is_active",
        "version",
        "created_at",
        "archived_at",
    ),
    version_column=VERSION,
)
