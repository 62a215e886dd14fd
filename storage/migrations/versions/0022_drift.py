"""Baselines of environments, and drift from them."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    op.create_table(
        "baselines",
        _uuid("id"),
        _uuid("org_id"),
        _uuid("environment_id"),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("snapshot_id", sa.Uuid()),
        sa.Column("n", sa.Integer()),
        sa.Column("claimed_by", sa.Text(collation="C")),
        sa.Column("description", sa.Text()),
        _uuid("created_by"),
        _time("created_at"),
        _time("archived_at", nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("baselines_pkey")),
        sa.ForeignKeyConstraint(["environment_id"], ["environments.id"], name=op.f("baselines_environment_id_fkey")),
    )
    op.create_index(
        "baselines_active_key",
        "baselines",
        ["environment_id"],
        unique=True,
        postgresql_where=sa.text("archived_at IS NULL"),
    )
    op.create_table(
        "drift_reports",
        _uuid("id"),
        _uuid("org_id"),
        _uuid("environment_id"),
        _uuid("baseline_id"),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("status", sa.Text(collation="C"), nullable=False),
        sa.Column("differences", sa.Integer(), nullable=False),
        sa.Column("drift", JSONB(), nullable=False),
        _time("drifted_since", nullable=True),
        _time("created_at"),
        sa.PrimaryKeyConstraint("id", name=op.f("drift_reports_pkey")),
        sa.ForeignKeyConstraint(
            ["environment_id"], ["environments.id"], name=op.f("drift_reports_environment_id_fkey")
        ),
        sa.ForeignKeyConstraint(["baseline_id"], ["baselines.id"], name=op.f("drift_reports_baseline_id_fkey")),
        sa.UniqueConstraint("baseline_id", "n", "revision", name=op.f("drift_reports_baseline_id_n_revision_key")),
    )
    for table in ("baselines", "drift_reports"):
        op.create_index(
            op.f(f"{table}_org_id_environment_id_created_at_id_idx"),
            table,
            ["org_id", "environment_id", "created_at", "id"],
        )
    for timing, scope in (("UPDATE OR DELETE", "ROW"), ("TRUNCATE", "STATEMENT")):
        name = "append_only" if scope == "ROW" else "append_only_truncate"
        op.execute(
            f"CREATE TRIGGER {name} BEFORE {timing} ON drift_reports "
            f"FOR EACH {scope} EXECUTE FUNCTION trailgate_refuse_change()"
        )


def _uuid(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.Uuid(), nullable=False)


def _time(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)
