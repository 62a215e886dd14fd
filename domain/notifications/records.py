"""The record form of notification rules."""

from domain.audit.records import VERSION, RecordForm

NOTIFICATION_RULE = RecordForm(
    kind="notification_rule",
    format=1,
    columns=(
        "id",
        "org_id",
        "name",
        "is_active",
        "trigger",
        "channel",
        "config_secret_id",
        "title_template",
        "message_template",
        "filter_flow_id",
        "filter_environment_id",
        "signing_secret_id",
        "previous_signing_secret_id",
        "previous_until",
        "created_by",
        "version",
        "created_at",
        "archived_at",
    ),
    version_column=VERSION,
)
