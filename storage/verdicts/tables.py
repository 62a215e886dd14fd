"""The table of verdicts, which the areas share: assertions, decisions of the gate."""

from sqlalchemy import Index, Table, Uuid, text

from storage.schema import FACT, Identifier, Time, document, key, metadata, optional, org, required

verdicts = Table(
    "verdicts",
    metadata,
    key(),
    org(),
    required("kind", Identifier),
    optional("flow_id", Uuid),
    optional("trail_id", Uuid),
    optional("environment_id", Uuid),
    required("digest", Identifier),
    required("outcome", Identifier),
    document("inputs"),
    document("result"),
    required("decided_by", Uuid),
    required("created_at", Time),
    Index(None, "org_id", "created_at", "id"),
    Index(None, "org_id", "kind", "created_at", "id"),
    Index(None, "org_id", "outcome", "created_at", "id"),
    Index(None, "org_id", "flow_id", "created_at", "id"),
    Index(None, "org_id", "digest", "created_at", "id"),
    Index(None, "org_id", "environment_id", "created_at", "id", postgresql_where=text("environment_id IS NOT NULL")),
    Index("verdicts_trail_idx", "trail_id", postgresql_where=text("trail_id IS NOT NULL")),
    info=FACT,
)
