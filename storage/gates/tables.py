"""Tables of the gate: policies and what they are attached to; security scans and their thresholds."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    ForeignKey,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
    Uuid,
    text,
)

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

security_thresholds = Table(
    "security_thresholds",
    metadata,
    key(),
    org(),
    required("flow_id", Uuid),
    required("version", Integer),
    required("created_at", Time),
    required("updated_at", Time),
    optional("archived_at", Time),
    Index("security_thresholds_flow_key", "org_id", "flow_id", unique=True, postgresql_where=text(_ACTIVE)),
    info=DEFINITION,
)

security_threshold_versions = Table(
    "security_threshold_versions",
    metadata,
    required("security_threshold_id", Uuid, ForeignKey(security_thresholds.c.id)),
    org(),
    required("version", Integer),
    required("flow_id", Uuid),
    optional("archived_at", Time),
    required("max_critical", Integer),
    required("max_high", Integer),
    required("max_medium", Integer),
    required("max_low", Integer),
    required("created_by", Uuid),
    required("created_at", Time),
    PrimaryKeyConstraint("security_threshold_id", "version"),
    info=DEFINITION,
)

_SUMMED = ("critical", "high", "medium", "low")

security_scans = Table(
    "security_scans",
    metadata,
    key(),
    org(),
    required("trail_id", Uuid, ForeignKey("trails.id")),
    required("flow_id", Uuid),
    required("attestation_id", Uuid, ForeignKey("attestations.id")),
    required("tool", Identifier),
    optional("tool_version", Text),
    optional("scan_type", Identifier),
    optional("target", Text),
    optional("digest", Identifier),
    required("critical", Integer),
    required("high", Integer),
    required("medium", Integer),
    required("low", Integer),
    required("informational", Integer),
    optional("duration_seconds", BigInteger),
    optional("report_url", Text),
    document("report", nullable=True),
    document("thresholds"),
    optional("threshold_id", Uuid),
    optional("threshold_version", Integer),
    required("passed", Boolean),
    required("breach_details", ARRAY(Text)),
    optional("reason", Text),
    optional("source_ref", Identifier),
    required("recorded_by", Uuid),
    required("created_at", Time),
    Index(None, "attestation_id"),
    Index(None, "org_id", "trail_id", "created_at", "id"),
    Index(None, "org_id", "flow_id", "created_at", "id", postgresql_include=_SUMMED),
    Index(None, "org_id", "tool", "created_at", "id", postgresql_include=_SUMMED),
    Index(None, "org_id", "created_at", "id", postgresql_include=_SUMMED),
    info=FACT,
)
"""The thresholds that judged a scan are part of it. What is added up is in the indexes: no sum reads the table."""
