"""The table of decided approvals, as facts of their trails."""

from sqlalchemy import ForeignKey, Index, Table, Uuid
from sqlalchemy.dialects.postgresql import ARRAY

from storage.facts.tables import trails
from storage.schema import FACT, Identifier, Time, key, metadata, optional, org, required

approval_outcomes = Table(
    "approval_outcomes",
    metadata,
    key(),
    org(),
    required("trail_id", Uuid, ForeignKey(trails.c.id)),
    required("resolution", Identifier),
    optional("digest", Identifier),
    optional("environment_id", Uuid),
    required("roles", ARRAY(Identifier)),
    required("resolved_at", Time),
    required("record_id", Uuid),
    Index(None, "trail_id", "resolved_at", "id"),
    Index(None, "record_id"),
    info=FACT,
)
"""How approvals ended that people decided. It counts for trails, assertions and the gate.

The id is the approval's; `record_id` is the id of this fact in the ledger.
"""
