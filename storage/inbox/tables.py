from sqlalchemy import Index, Integer, LargeBinary, SmallInteger, Table, UniqueConstraint, Uuid, text

from storage.schema import QUEUE, WORK, Identifier, Time, document, key, metadata, optional, org, required

deliveries = Table(
    "deliveries",
    metadata,
    key(),
    org(),
    required("config_id", Uuid),
    required("source", Identifier),
    required("delivery_id", Identifier),
    optional("event", Identifier),
    optional("event_type", Identifier),
    required("body_id", Uuid),
    required("body_sha256", LargeBinary),
    required("status", Identifier),
    optional("status_message", Identifier),
    optional("error", Identifier),
    required("duplicates", Integer),
    optional("trail_id", Uuid),
    required("received_at", Time),
    optional("processed_at", Time),
    required("identity", Identifier),
    UniqueConstraint("config_id", "identity"),
    Index("deliveries_delivery_id_idx", "config_id", "delivery_id", postgresql_where=text("identity <> delivery_id")),
    Index(None, "org_id", "config_id", "received_at", "id"),
    Index("deliveries_dead_idx", "org_id", "id", postgresql_where=text("status = 'FAILED'")),
    info=WORK,
)
"""`identity` tells deliveries of a config apart: the sender's `delivery_id`, or the hash of the body."""

inbox_bodies = Table(
    "inbox_bodies",
    metadata,
    key(),
    document("headers"),
    required("body", LargeBinary),
    required("accepted_at", Time),
    required("mac", LargeBinary),
    info=WORK,
    postgresql_partition_by="RANGE (id)",  # UUIDv7: a month is a range of ids
)

inbox = Table(
    "inbox",
    metadata,
    required("delivery_id", Uuid, primary_key=True),
    org(),
    required("due_at", Time),
    optional("claim_id", Uuid),
    required("attempts", SmallInteger),
    Index(None, "org_id", "due_at", "delivery_id"),
    info=WORK,
    postgresql_with=QUEUE,
)
