"""Tables of the gate: policies and what they are attached to, and bundles of Rego with what they decided."""

from sqlalchemy import ARRAY, Boolean, ForeignKey, Index, Integer, PrimaryKeyConstraint, Table, Text, Uuid, text

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

opa_bundles = Table(
    "opa_bundles",
    metadata,
    key(),
    org(),
    required("name", Identifier),
    required("bundle_version", Identifier),
    document("modules"),
    document("data"),
    document("rules"),
    required("sha256", Identifier),
    required("size", Integer),
    optional("activated_at", Time),
    required("created_by", Uuid),
    required("version", Integer),
    required("created_at", Time),
    required("updated_at", Time),
    optional("archived_at", Time),
    Index("opa_bundles_version_key", "org_id", "name", "bundle_version", unique=True, postgresql_where=text(_ACTIVE)),
    Index(
        "opa_bundles_active_key",
        "org_id",
        "name",
        unique=True,
        postgresql_where=text(f"{_ACTIVE} AND activated_at IS NOT NULL"),
    ),
    Index(
        "opa_bundles_activated_idx",
        "org_id",
        "activated_at",
        "id",
        postgresql_where=text(f"{_ACTIVE} AND activated_at IS NOT NULL"),
    ),
    Index(None, "org_id", "created_at", "id"),
    info=DEFINITION,
)
"""`bundle_version` is the version that the sender names. Of those with one name, at most one is activated. `rules` are
the rules that decide, `size` the bytes of the content, which never changes."""

opa_decisions = Table(
    "opa_decisions",
    metadata,
    key(),
    org(),
    required("bundle_id", Uuid, ForeignKey(opa_bundles.c.id)),
    required("bundle_name", Identifier),
    required("bundle_version", Identifier),
    required("bundle_sha256", Identifier),
    required("input", Text),
    required("input_digest", Identifier),
    required("size", Integer),
    required("allow", Boolean),
    document("reasons"),
    required("evaluated_by", Uuid),
    required("created_at", Time),
    Index(None, "org_id", "created_at", "id"),
    Index(None, "org_id", "allow", "created_at", "id"),
    Index(None, "org_id", "bundle_id", "allow", "created_at", "id"),
    Index(None, "org_id", "bundle_id", "created_at", "id"),
    info=FACT,
)
"""What bundles decided. `size` is the bytes of the input."""
