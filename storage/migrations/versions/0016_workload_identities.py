"""Workload identities: the CI jobs that may act in an organisation, and the tokens that were recorded."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    op.create_table(
        "workload_identities",
        *(_uuid(name) for name in ("id", "org_id", "principal_id")),
        *(_text(name) for name in ("provider", "issuer", "repository")),
        *(_text(name, nullable=True) for name in ("repository_id", "ref_pattern", "environment")),
        sa.Column("scopes", ARRAY(sa.Text(collation="C")), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        *(_time(name) for name in ("created_at", "updated_at")),
        _time("archived_at", nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("workload_identities_pkey")),
        sa.ForeignKeyConstraint(
            ["principal_id"], ["principals.id"], name=op.f("workload_identities_principal_id_fkey")
        ),
    )
    op.create_index(
        "workload_identities_rules_idx",
        "workload_identities",
        ["org_id", "issuer", "repository"],
        postgresql_where=sa.text("archived_at IS NULL"),
    )
    columns = ["org_id", "created_at", "id"]
    op.create_index(op.f(f"workload_identities_{'_'.join(columns)}_idx"), "workload_identities", columns)
    op.create_index(op.f("workload_identities_principal_id_idx"), "workload_identities", ["principal_id"])
    op.create_table(
        "workload_identity_uses",
        _uuid("workload_identity_id"),
        _time("last_used_at"),
        sa.PrimaryKeyConstraint("workload_identity_id", name=op.f("workload_identity_uses_pkey")),
    )
    op.create_table(
        "used_tokens",
        _uuid("org_id"),
        sa.Column("sha256", sa.LargeBinary(), nullable=False),
        _time("expires_at"),
        sa.PrimaryKeyConstraint("org_id", "sha256", name=op.f("used_tokens_pkey")),
    )
    op.create_index(op.f("used_tokens_expires_at_idx"), "used_tokens", ["expires_at"])
    op.execute(
        "CREATE TRIGGER announce_credential_change AFTER INSERT OR UPDATE OR DELETE ON workload_identities "
        "FOR EACH ROW EXECUTE FUNCTION trailgate_announce_credential_change('org_id')"
    )


def _uuid(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.Uuid(), nullable=False)


def _text(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text(collation="C"), nullable=nullable)


def _time(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)
