"""Decided approvals, policies, and what policies are attached to."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0023"
down_revision = "0022"

_ACTIVE = "archived_at IS NULL"


def upgrade() -> None:
    op.create_table(
        "approval_outcomes",
        _uuid("id"),
        _uuid("org_id"),
        _uuid("trail_id"),
        _text("resolution"),
        _text("digest", nullable=True),
        _uuid("environment_id", nullable=True),
        sa.Column("roles", sa.ARRAY(sa.Text(collation="C")), nullable=False),
        _time("resolved_at"),
        sa.PrimaryKeyConstraint("id", name=op.f("approval_outcomes_pkey")),
        sa.ForeignKeyConstraint(["trail_id"], ["trails.id"], name=op.f("approval_outcomes_trail_id_fkey")),
    )
    op.create_index(
        op.f("approval_outcomes_trail_id_resolved_at_id_idx"), "approval_outcomes", ["trail_id", "resolved_at", "id"]
    )
    for timing, scope in (("UPDATE OR DELETE", "ROW"), ("TRUNCATE", "STATEMENT")):
        name = "append_only" if scope == "ROW" else "append_only_truncate"
        op.execute(
            f"CREATE TRIGGER {name} BEFORE {timing} ON approval_outcomes "
            f"FOR EACH {scope} EXECUTE FUNCTION trailgate_refuse_change()"
        )
    op.create_index(
        op.f("verdicts_org_id_environment_id_created_at_id_idx"),
        "verdicts",
        ["org_id", "environment_id", "created_at", "id"],
        postgresql_where=sa.text("environment_id IS NOT NULL"),
    )
    _policies()
    _attachments()


def _policies() -> None:
    op.create_table(
        "policies",
        _uuid("id"),
        _uuid("org_id"),
        _text("kind"),
        _text("name"),
        _uuid("flow_id", nullable=True),
        _uuid("environment_id", nullable=True),
        _flag("is_active"),
        sa.Column("version", sa.Integer(), nullable=False),
        _time("created_at"),
        _time("updated_at"),
        _time("archived_at", nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("policies_pkey")),
    )
    attachable = sa.text(f"{_ACTIVE} AND kind = 'attachable'")
    op.create_index("policies_name_key", "policies", ["org_id", "name"], unique=True, postgresql_where=attachable)
    op.create_index(
        op.f("policies_org_id_kind_created_at_id_idx"),
        "policies",
        ["org_id", "kind", "created_at", "id"],
        postgresql_where=sa.text(_ACTIVE),
    )
    op.create_index(
        "policies_of_environments_idx",
        "policies",
        ["org_id", "environment_id"],
        postgresql_where=sa.text(f"{_ACTIVE} AND environment_id IS NOT NULL"),
    )
    op.create_index(
        "policies_of_flows_idx",
        "policies",
        ["org_id", "flow_id"],
        postgresql_where=sa.text(_ACTIVE),
    )
    op.create_table(
        "policy_versions",
        _uuid("policy_id"),
        _uuid("org_id"),
        sa.Column("version", sa.Integer(), nullable=False),
        _text("kind"),
        _text("name"),
        _uuid("flow_id", nullable=True),
        _uuid("environment_id", nullable=True),
        _flag("is_active"),
        _time("archived_at", nullable=True),
        sa.Column("description", sa.Text(), nullable=False),
        _flag("enforce_provenance"),
        _flag("verify_provenance"),
        _flag("enforce_approvals"),
        _flag("enforce_trail_compliance"),
        _flag("require_signature"),
        _flag("block_failed_scans"),
        sa.Column("required_types", sa.ARRAY(sa.Text(collation="C")), nullable=False),
        sa.Column("opa_bundles", sa.ARRAY(sa.Text(collation="C")), nullable=False),
        sa.Column("yaml", sa.Text()),
        sa.Column("rules", JSONB(), nullable=False),
        _uuid("created_by"),
        _time("created_at"),
        sa.PrimaryKeyConstraint("policy_id", "version", name=op.f("policy_versions_pkey")),
        sa.ForeignKeyConstraint(["policy_id"], ["policies.id"], name=op.f("policy_versions_policy_id_fkey")),
    )


def _attachments() -> None:
    op.create_table(
        "policy_attachments",
        _uuid("id"),
        _uuid("org_id"),
        _uuid("policy_id"),
        _uuid("environment_id", nullable=True),
        _uuid("flow_id", nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        _time("created_at"),
        _uuid("created_by"),
        _time("archived_at", nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("policy_attachments_pkey")),
        sa.ForeignKeyConstraint(["policy_id"], ["policies.id"], name=op.f("policy_attachments_policy_id_fkey")),
    )
    for subject in ("environment", "flow"):
        op.create_index(
            f"policy_attachments_{subject}_key",
            "policy_attachments",
            [f"{subject}_id", "policy_id"],
            unique=True,
            postgresql_where=sa.text(f"{_ACTIVE} AND {subject}_id IS NOT NULL"),
        )
    active = sa.text(_ACTIVE)
    op.create_index("policy_attachments_policy_idx", "policy_attachments", ["policy_id"], postgresql_where=active)
    op.create_index(
        op.f("policy_attachments_org_id_created_at_id_idx"),
        "policy_attachments",
        ["org_id", "created_at", "id"],
        postgresql_where=active,
    )


def _uuid(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.Uuid(), nullable=nullable)


def _text(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.Text(collation="C"), nullable=nullable)


def _flag(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.Boolean(), nullable=False)


def _time(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)
