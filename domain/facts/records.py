"""The record forms of facts: flows, trails, attestations, artifacts and their kin."""

from domain.audit.records import VERSION, RecordForm
from domain.identity.permissions import Permission

FLOW_1 = RecordForm(
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
    read=Permission.FACTS_READ,
    version_column=VERSION,
)
FLOW = FLOW_1.extended("template_text", "template")

TRAIL_1 = RecordForm(
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
    read=Permission.FACTS_READ,
    version_column=VERSION,
)
TRAIL = TRAIL_1.extended("template_text", "template")

ATTESTATION_1 = RecordForm(
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
    read=Permission.FACTS_READ,
)
ATTESTATION_2 = ATTESTATION_1.extended("slot", "git_commit", "payload")
ATTESTATION = ATTESTATION_2.extended("identity", "run", late=("identity",))
"""An attestation together with its first result (n = 1); later results are records of their own."""

ATTESTATION_RESULT = RecordForm(
    kind="attestation_result",
    format=1,
    columns=(
        "id",
        "org_id",
        "attestation_id",
        "n",
        "status",
        "reason",
        "details",
        "processor",
        "evidence_id",
        "created_at",
    ),
    read=Permission.FACTS_READ,
)
"""A result after the first one: from parsed evidence, or an override."""

ARTIFACT_REPORT = RecordForm(
    kind="artifact_report",
    format=1,
    columns=(
        "id",
        "org_id",
        "artifact_id",
        "flow_id",
        "trail_id",
        "digest",
        "slot",
        "name",
        "tag",
        "registry",
        "artifact_type",
        "git_commit",
        "build_url",
        "commit_url",
        "annotations",
        "claimed_by",
        "reported_by",
        "observed_at",
        "created_at",
    ),
    read=Permission.FACTS_READ,
)

EVIDENCE = RecordForm(
    kind="evidence",
    format=1,
    columns=(
        "id",
        "org_id",
        "attestation_id",
        "trail_id",
        "digest",
        "name",
        "size",
        "media_type",
        "external_url",
        "uploaded_by",
        "created_at",
    ),
    read=Permission.EVIDENCE_READ,
)

PROVENANCE = RecordForm(
    kind="provenance",
    format=1,
    columns=(
        "id",
        "org_id",
        "report_id",
        "trail_id",
        "digest",
        "builder_id",
        "builder_type",
        "build_config_uri",
        "source_repository_uri",
        "source_commit_sha",
        "build_started_on",
        "build_finished_on",
        "signature",
        "envelope",
        "slsa_level",
        "recorded_by",
        "created_at",
    ),
    read=Permission.FACTS_READ,
)

PROVENANCE_CHECK = RecordForm(
    kind="provenance_check",
    format=1,
    columns=(
        "id",
        "org_id",
        "provenance_id",
        "n",
        "status",
        "key_id",
        "predicate_type",
        "reason",
        "checked_by",
        "created_at",
    ),
    read=Permission.FACTS_READ,
)

PROVENANCE_KEY = RecordForm(
    kind="provenance_key",
    format=1,
    columns=("id", "org_id", "name", "key_id", "algorithm", "public_key", "version", "created_at", "archived_at"),
    read=Permission.FACTS_READ,
    version_column=VERSION,
)

VERDICT = RecordForm(
    kind="verdict",
    format=1,
    columns=(
        "id",
        "org_id",
        "kind",
        "flow_id",
        "trail_id",
        "environment_id",
        "digest",
        "outcome",
        "inputs",
        "result",
        "decided_by",
        "created_at",
    ),
    read=Permission.FACTS_READ,
)

APPROVAL_OUTCOME = RecordForm(
    kind="approval_outcome",
    format=1,
    columns=("record_id", "id", "org_id", "trail_id", "resolution", "digest", "environment_id", "roles", "resolved_at"),
    read=Permission.FACTS_READ,
    id_column="record_id",
)
"""How an approval ended. It has an id of its own, for in the ledger an id stands for one record."""

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
    read=Permission.INTEGRATIONS_MANAGE,
    version_column=VERSION,
)
