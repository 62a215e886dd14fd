from sqlalchemy import BigInteger, Index, Integer, LargeBinary, SmallInteger, Table, Uuid, text

from storage.schema import DERIVED, FACT, WORK, Identifier, Time, document, key, metadata, optional, org, required

audit_events = Table(
    "audit_events",
    metadata,
    key(),
    org(),
    required("name", Identifier),
    required("actor_id", Uuid),
    optional("credential_id", Uuid),
    required("record_kind", Identifier),
    required("record_id", Uuid),
    required("record_version", Integer),
    optional("trail_id", Uuid),
    optional("environment_id", Uuid),
    optional("digest", Identifier),
    document("payload", nullable=True),
    required("format", SmallInteger),
    optional("nonce", LargeBinary),
    required("leaf", LargeBinary),
    required("occurred_at", Time),
    required("region", Identifier),
    optional("request_id", Identifier),
    optional("record_hash", LargeBinary),
    Index(None, "org_id", "occurred_at", "id"),
    Index(None, "org_id", "name", "occurred_at", "id"),
    Index(None, "org_id", "actor_id", "occurred_at", "id"),
    Index(None, "org_id", "region", "occurred_at", "id"),
    Index(
        "audit_events_trail_idx",
        "org_id",
        "trail_id",
        "occurred_at",
        "id",
        postgresql_where=text("trail_id IS NOT NULL"),
    ),
    Index(
        "audit_events_environment_idx",
        "org_id",
        "environment_id",
        "occurred_at",
        "id",
        postgresql_where=text("environment_id IS NOT NULL"),
    ),
    Index(
        "audit_events_digest_idx",
        "org_id",
        "digest",
        "occurred_at",
        "id",
        postgresql_where=text("digest IS NOT NULL"),
    ),
    Index(None, "record_id", "record_version"),
    info=FACT,
    postgresql_partition_by="RANGE (id)",  # UUIDv7: a month is a range of ids
)
"""`record_hash` is H(record) of domain.audit.records; null in events of versions that did not keep it."""

unsealed = Table(
    "unsealed",
    metadata,
    required("org_id", Uuid, primary_key=True),
    required("event_id", Uuid, primary_key=True),
    required("leaf", LargeBinary),
    required("mac", LargeBinary),
    info=WORK,
)
"""Events that wait for the ledger. `mac` is made with a key that the database does not hold."""

edges = Table(
    "edges",
    metadata,
    required("org_id", Uuid, primary_key=True),
    required("to_kind", Identifier, primary_key=True),
    required("to_key", Identifier, primary_key=True),
    required("from_kind", Identifier, primary_key=True),
    required("from_id", Uuid, primary_key=True),
    required("relation", Identifier, primary_key=True),
    required("event_id", Uuid),
    info=DERIVED,
)

counters = Table(
    "counters",
    metadata,
    required("org_id", Uuid, primary_key=True),
    required("kind", Identifier, primary_key=True),
    required("parent_id", Uuid, primary_key=True),
    required("n", BigInteger),
    Index("counters_suppressed_idx", "org_id", postgresql_where=text("kind = 'messages_suppressed'")),
    info=DERIVED,
)

counter_deltas = Table(
    "counter_deltas",
    metadata,
    key(),
    org(),
    required("kind", Identifier),
    required("parent_id", Uuid),
    required("d", BigInteger),
    Index(None, "org_id", "kind", "parent_id"),
    info=WORK,
)
