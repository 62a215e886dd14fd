"""The record forms of environments."""

from domain.audit.records import VERSION, RecordForm
from domain.identity.permissions import Permission

ENVIRONMENT = RecordForm(
    kind="environment",
    format=1,
    columns=(
        "id",
        "org_id",
        "name",
        "kind",
        "type",
        "version",
        "archived_at",
        "description",
        "drift_policy",
        "include_names",
        "include_patterns",
        "exclude_names",
        "exclude_patterns",
        "stale_after",
        "members",
        "created_at",
        "created_by",
    ),
    read=Permission.FACTS_READ,
    version_column=VERSION,
)

SNAPSHOT = RecordForm(
    kind="snapshot",
    format=1,
    columns=(
        "id",
        "org_id",
        "environment_id",
        "n",
        "environment_version",
        "content",
        "artifacts",
        "changed",
        "changes",
        "claimed_by",
        "scope_label",
        "recorded_by",
        "created_at",
    ),
    read=Permission.FACTS_READ,
)
"""A snapshot that changes something. Another one says only when it was reported, with the content of one of these."""

DEPLOYMENT = RecordForm(kind="deployment", format=1, columns=(), read=Permission.FACTS_READ)
"""An artifact that began or ceased to run. It consists of its event, and is derived from the changes of a snapshot."""

REPORTING = RecordForm(kind="reporting", format=1, columns=(), read=Permission.FACTS_READ)
"""Reports of an environment that ceased or came again. It consists of its event."""

BASELINE = RecordForm(
    kind="baseline",
    format=1,
    columns=(
        "id",
        "org_id",
        "environment_id",
        "version",
        "snapshot_id",
        "n",
        "claimed_by",
        "description",
        "created_by",
        "created_at",
        "archived_at",
    ),
    read=Permission.FACTS_READ,
    version_column=VERSION,
)

DRIFT = RecordForm(
    kind="drift",
    format=1,
    columns=(
        "id",
        "org_id",
        "environment_id",
        "baseline_id",
        "n",
        "revision",
        "status",
        "differences",
        "drift",
        "drifted_since",
        "created_at",
    ),
    read=Permission.FACTS_READ,
)

ALLOWLIST_ENTRY = RecordForm(
    kind="allowlist_entry",
    format=1,
    columns=(
        "id",
        "org_id",
        "environment_id",
        "digest",
        "name",
        "pattern",
        "reason",
        "claimed_by",
        "added_by",
        "expires_at",
        "created_at",
    ),
    read=Permission.FACTS_READ,
)

ALLOWLIST_REMOVAL = RecordForm(
    kind="allowlist_removal",
    format=1,
    columns=("id", "org_id", "environment_id", "entry_id", "removed_by", "created_at"),
    read=Permission.FACTS_READ,
)

ALLOWLIST_USE = RecordForm(
    kind="allowlist_use",
    format=1,
    columns=("id", "org_id", "environment_id", "entry_id", "name", "digest", "created_at"),
    read=Permission.FACTS_READ,
)
"""The first time that an entry lets an artifact through."""
