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
        "changes",
        "claimed_by",
        "scope_label",
        "recorded_by",
        "created_at",
    ),
    read=Permission.FACTS_READ,
)
"""Sealed if it changes something; another one says only when it was reported, and names content that is sealed."""
