from sqlalchemy import Index, SmallInteger, Table, Uuid

from storage.schema import WORK, Identifier, Time, document, key, metadata, optional, org, required

outbox = Table(
    "outbox",
    metadata,
    key(),
    org(),
    required("kind", Identifier),
    required("destination", Identifier),
    required("subject", Identifier),
    document("payload"),
    required("created_at", Time),
    required("due_at", Time),
    optional("claim_id", Uuid),
    required("attempts", SmallInteger),
    Index(None, "org_id", "destination", "due_at", "id"),
    info=WORK,
)
