"""The record form of notification rules."""

from domain.audit.records import VERSION, RecordForm
from domain.identity.permissions import Permission

NOTIFICATION_RULE_1 = RecordForm(
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
    read=Permission.INTEGRATIONS_MANAGE,
    version_column=VERSION,
)
NOTIFICATION_RULE = NOTIFICATION_RULE_1.extended(
    "destination_id", "config_shown", late=("destination_id", "config_shown")
)
