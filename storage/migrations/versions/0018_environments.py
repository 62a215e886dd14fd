"""Environments."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    op.create_table(
        "environments",
        _uuid("id"),
        _uuid("org_id"),
        _text("name"),
        _text("kind"),
        sa.Column("version", sa.Integer(), nullable=False),
        _time("created_at"),
        _time("updated_at"),
        _time("archived_at", nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("environments_pkey")),
    )
    op.create_index(
        "environments_name_key",
        "environments",
        ["org_id", "name"],
        unique=True,
        postgresql_where=sa.text("archived_at IS NULL"),
    )
    op.create_index(op.f("environments_org_id_created_at_id_idx"), "environments", ["org_id", "created_at", "id"])
    op.create_table(
        "environment_versions",
        _uuid("environment_id"),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        _uuid("org_id"),
        _text("name"),
        _text("kind"),
        _text("type"),
        sa.Column("description", sa.Text(), nullable=False),
        _text("drift_policy"),
        *(
            sa.Column(f"{what}_{part}", ARRAY(sa.Text()), nullable=False)
            for what in ("include", "exclude")
            for part in ("names", "patterns")
        ),
        _time("created_at"),
        _uuid("created_by"),
        _time("archived_at", nullable=True),
        sa.ForeignKeyConstraint(
            ["environment_id"], ["environments.id"], name=op.f("environment_versions_environment_id_fkey")
        ),
        sa.PrimaryKeyConstraint("environment_id", "version", name=op.f("environment_versions_pkey")),
    )
    for timing, scope in (("UPDATE OR DELETE", "ROW"), ("TRUNCATE", "STATEMENT")):
        name = "append_only" if scope == "ROW" else "append_only_truncate"
        op.execute(
            f"CREATE TRIGGER {name} BEFORE {timing} ON environment_versions "
            f"FOR EACH {scope} EXECUTE FUNCTION trailgate_refuse_change()"
        )


def _uuid(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.Uuid(), nullable=False)


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(collation="C"), nullable=False)


def _time(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)
