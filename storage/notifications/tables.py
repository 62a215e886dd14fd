from sqlalchemy import BigInteger, Boolean, Index, Integer, Table, Text, UniqueConstraint, Uuid, text

from storage.schema import DEFINITION, WORK, Identifier, Time, document, key, metadata, optional, org, required

notification_rules = Table(
    "notification_rules",
    metadata,
    key(),
    org(),
    required("name", Identifier),
    required("is_active", Boolean),
    required("trigger", Identifier),
    required("channel", Identifier),
    required("config_secret_id", Uuid),
    document("config_shown"),
    optional("title_template", Text),
    optional("message_template", Text),
    optional("filter_flow_id", Uuid),
    optional("filter_environment_id", Uuid),
    optional("signing_secret_id", Uuid),
    optional("previous_signing_secret_id", Uuid),
    optional("previous_until", Time),
    required("destination_id", Uuid),
    required("created_by", Uuid),
    required("version", Integer),
    required("created_at", Time),
    required("updated_at", Time),
    optional("archived_at", Time),
    Index(None, "org_id", "created_at", "id", postgresql_where=text("archived_at IS NULL")),
    Index(None, "org_id", "trigger", postgresql_where=text("is_active AND archived_at IS NULL")),
    info=DEFINITION,
)
"""`config_shown` is the channel configuration with masked secrets; the full configuration is stored as a secret."""

notifications = Table(
    "notifications",
    metadata,
    key(),
    org(),
    required("n", BigInteger),
    optional("message_id", Uuid),
    required("title", Text),
    required("message", Text),
    required("severity", Identifier),
    optional("entity_type", Identifier),
    optional("entity_id", Uuid),
    required("created_at", Time),
    UniqueConstraint("org_id", "n"),
    Index(None, "org_id", "severity", "n"),
    Index("notifications_message_key", "message_id", unique=True),
    info=WORK,
)
"""In-app notifications. `n` numbers them within the organisation, without gaps, in commit order."""

notification_streams = Table(
    "notification_streams",
    metadata,
    required("org_id", Uuid, primary_key=True),
    required("first_n", BigInteger),
    required("last_n", BigInteger),
    info=WORK,
)
"""The range of numbers that exist; the row is locked while new numbers are assigned."""

notification_readers = Table(
    "notification_readers",
    metadata,
    required("org_id", Uuid, primary_key=True),
    required("principal_id", Uuid, primary_key=True),
    required("read_to", BigInteger),
    info=WORK,
)
"""The number up to which a person has read everything."""

notification_reads = Table(
    "notification_reads",
    metadata,
    required("org_id", Uuid, primary_key=True),
    required("principal_id", Uuid, primary_key=True),
    required("n", BigInteger, primary_key=True, autoincrement=False),
    info=WORK,
)
"""The numbers beyond `read_to` that a person has read."""
