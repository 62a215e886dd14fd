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
