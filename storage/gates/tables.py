"""Tables of the gate: policies and what they are attached to, and approvals."""

from sqlalchemy import (
    Boolean,
    ForeignKey,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY

from storage.schema import DEFINITION, FACT, Identifier, Time, document, key, metadata, optional, org, required

_ACTIVE = "archived_at IS NULL"

policies = Table(
    "policies",
    metadata,
    key(),
    org(),
    required("kind", Identifier),
    required("name", Identifier),
    optional("flow_id", Uuid),
    optional("environment_id", Uuid),
    required("is_active", Boolean),
    required("version", Integer),
    required("created_at", Time),
    required("updated_at", Time),
    optional("archived_at", Time),
    Index(
        "policies_name_key",
        "org_id",
        "name",
        unique=True,
        postgresql_where=text(f"{_ACTIVE} AND kind = 'attachable'"),
    ),
    Index(None, "org_id", "kind", "created_at", "id", postgresql_where=text(_ACTIVE)),
    Index("policies_of_flows_idx", "org_id", "flow_id", postgresql_where=text(f"{_ACTIVE} AND is_active")),
    info=DEFINITION,
)
"""Attachable policies have a name of their own. Deployment policies are about a flow, and about one environment or
all of them."""

policy_versions = Table(
    "policy_versions",
    metadata,
    required("policy_id", Uuid, ForeignKey(policies.c.id)),
    org(),
    required("version", Integer),
    required("kind", Identifier),
    required("name", Identifier),
    optional("flow_id", Uuid),
    optional("environment_id", Uuid),
    required("is_active", Boolean),
    optional("archived_at", Time),
    required("description", Text),
    required("enforce_provenance", Boolean),
    required("verify_provenance", Boolean),
    required("enforce_approvals", Boolean),
    required("enforce_trail_compliance", Boolean),
    required("require_signature", Boolean),
    required("block_failed_scans", Boolean),
    required("required_types", ARRAY(Identifier)),
    required("opa_bundles", ARRAY(Identifier)),
    optional("yaml", Text),
    document("rules"),
    required("created_by", Uuid),
    required("created_at", Time),
    PrimaryKeyConstraint("policy_id", "version"),
    info=DEFINITION,
)
"""`rules` is the compiled form of all the other columns, which is what is evaluated."""

policy_attachments = Table(
    "policy_attachments",
    metadata,
    key(),
    org(),
    required("policy_id", Uuid, ForeignKey(policies.c.id)),
    optional("environment_id", Uuid),
    optional("flow_id", Uuid),
    required("version", Integer),
    required("created_at", Time),
    required("created_by", Uuid),
    optional("archived_at", Time),
    Index(
        "policy_attachments_environment_key",
        "environment_id",
        "policy_id",
        unique=True,
        postgresql_where=text(f"{_ACTIVE} AND environment_id IS NOT NULL"),
    ),
    Index(
        "policy_attachments_flow_key",
        "flow_id",
        "policy_id",
        unique=True,
        postgresql_where=text(f"{_ACTIVE} AND flow_id IS NOT NULL"),
    ),
    Index("policy_attachments_policy_idx", "policy_id", postgresql_where=text(_ACTIVE)),
    Index(None, "org_id", "created_at", "id", postgresql_where=text(_ACTIVE)),
    info=DEFINITION,
)
"""A policy is attached to an environment or to a flow."""

approvals = Table(
    "approvals",
    metadata,
    key(),
    org(),
    required("trail_id", Uuid),
    required("flow_id", Uuid),
    optional("digest", Identifier),
    optional("environment_id", Uuid),
    document("rule"),
    optional("comments", Text),
    optional("newest_commit", Identifier),
    optional("oldest_commit", Identifier),
    required("requested_by", Uuid),
    required("requester", Identifier),
    optional("claimed_by", Identifier),
    required("author", ARRAY(Identifier)),
    optional("deadline", Time),
    required("created_at", Time),
    required("named", ARRAY(Identifier)),
    required("barred", ARRAY(Identifier)),
    required("status", Identifier),
    required("overridden", Boolean),
    optional("resolved_at", Time),
    optional("remind_at", Time),
    Index(None, "org_id", "created_at", "id"),
    Index(None, "org_id", "status", "created_at", "id"),
    Index(None, "org_id", "flow_id", "created_at", "id"),
    Index(None, "org_id", "trail_id", "created_at", "id"),
    Index(
        "approvals_environment_idx",
        "org_id",
        "environment_id",
        "created_at",
        "id",
        postgresql_where=text("environment_id IS NOT NULL"),
    ),
    Index("approvals_overridden_idx", "org_id", "resolved_at", "id", postgresql_where=text("overridden")),
    Index("approvals_due_idx", "deadline", postgresql_where=text("status = 'PENDING_APPROVAL'")),
    Index("approvals_remind_idx", "remind_at", postgresql_where=text("remind_at IS NOT NULL")),
    info={"kind": "HEAD"},
)
"""What was requested, which is sealed, and what became of it, which `trailgate rebuild` derives from the decisions.

`named` and `barred` are the marks and the aliases of the rule, for finding what somebody may decide. At `remind_at`
people are reminded, unless it is resolved before.
"""

approval_decisions = Table(
    "approval_decisions",
    metadata,
    key(),
    org(),
    required("approval_id", Uuid, ForeignKey(approvals.c.id)),
    required("decider", Identifier),
    required("resolution", Identifier),
    required("overrides", Boolean),
    optional("comments", Text),
    required("meets", ARRAY(Identifier)),
    required("roles", ARRAY(Identifier)),
    required("decided_by", Uuid),
    optional("claimed_by", Identifier),
    required("created_at", Time),
    UniqueConstraint("approval_id", "decider", "overrides"),
    info=FACT,
)
"""Nobody decides twice; but whoever has approved may still override what the others have not decided."""
