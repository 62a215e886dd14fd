from sqlalchemy import Index, Integer, LargeBinary, SmallInteger, Table, Text, UniqueConstraint, Uuid, text

from storage.schema import QUEUE, WORK, Identifier, Time, document, key, metadata, optional, org, required

destinations = Table(
    "destinations",
    metadata,
    key(),
    org(),
    required("channel", Identifier),
    required("address_sha256", LargeBinary),
    required("label", Text),
    required("failures", Integer),
    optional("failing_since", Time),
    optional("told", Identifier),
    optional("paused_at", Time),
    optional("paused_until", Time),
    optional("disabled_at", Time),
    optional("disabled_reason", Text),
    required("created_at", Time),
    UniqueConstraint("org_id", "channel", "address_sha256"),
    info=WORK,
)
"""Destinations of messages. `failures` counts since the last success; `told` is the last health event notified."""

messages = Table(
    "messages",
    metadata,
    key(),
    org(),
    required("destination_id", Uuid),
    optional("rule_id", Uuid),
    required("channel", Identifier),
    required("event", Identifier),
    required("subject", Identifier),
    document("payload"),
    required("status", Identifier),
    optional("error", Text),
    required("attempts", Integer),
    required("created_at", Time),
    optional("settled_at", Time),
    Index(None, "org_id", "created_at", "id"),
    Index(None, "org_id", "rule_id", "created_at", "id"),
    Index(None, "org_id", "destination_id", "created_at", "id"),
    Index(
        "messages_unsent_idx",
        "org_id",
        "status",
        "created_at",
        "id",
        postgresql_where=text("status IN ('FAILED', 'SKIPPED')"),
    ),
    info=WORK,
    postgresql_partition_by="RANGE (id)",  # UUIDv7: a month is a range of ids
)

outbox = Table(
    "outbox",
    metadata,
    required("message_id", Uuid, primary_key=True),
    org(),
    required("destination_id", Uuid),
    required("subject", Identifier),
    required("due_at", Time),
    optional("claim_id", Uuid),
    required("attempts", SmallInteger),
    Index(None, "org_id", "destination_id", "due_at", "message_id"),
    Index(None, "destination_id", "subject", "message_id"),
    info=WORK,
    postgresql_with=QUEUE,
)

attempts = Table(
    "attempts",
    metadata,
    key(),
    org(),
    required("message_id", Uuid),
    required("outcome", Identifier),
    optional("status_code", Integer),
    optional("error", Text),
    optional("response", Text),
    required("duration_ms", Integer),
    required("started_at", Time),
    Index(None, "org_id", "message_id", "id"),
    info=WORK,
    postgresql_partition_by="RANGE (id)",
)
