"""Environments, their snapshots, and what is derived from them."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, INT4RANGE, JSONB

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
        sa.Column("last_n", sa.Integer(), nullable=False),
        sa.Column("last_content", sa.LargeBinary()),
        sa.Column("last_artifacts", sa.Integer(), nullable=False),
        _time("last_reported_at", nullable=True),
        _time("last_changed_at", nullable=True),
        _time("due_at", nullable=True),
        _time("stale_since", nullable=True),
        _text("drift_status", nullable=True),
        _time("drifted_since", nullable=True),
        _time("recheck_at", nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("environments_pkey")),
    )
    for what in ("due", "recheck"):
        op.create_index(
            f"environments_{what}_idx",
            "environments",
            [f"{what}_at"],
            postgresql_where=sa.text(f"{what}_at IS NOT NULL AND archived_at IS NULL"),
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
        sa.Column("stale_after", sa.Integer()),
        _time("created_at"),
        _uuid("created_by"),
        _time("archived_at", nullable=True),
        sa.ForeignKeyConstraint(
            ["environment_id"], ["environments.id"], name=op.f("environment_versions_environment_id_fkey")
        ),
        sa.PrimaryKeyConstraint("environment_id", "version", name=op.f("environment_versions_pkey")),
    )
    op.create_table(
        "snapshots",
        _uuid("id"),
        _uuid("org_id"),
        _uuid("environment_id"),
        _number("n"),
        _number("environment_version"),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        _number("artifacts"),
        _number("changed"),
        sa.Column("changes", JSONB(), nullable=False),
        _text("claimed_by", nullable=True),
        _text("scope_label", nullable=True),
        _uuid("recorded_by"),
        _time("created_at"),
        sa.PrimaryKeyConstraint("id", name=op.f("snapshots_pkey")),
        sa.ForeignKeyConstraint(["environment_id"], ["environments.id"], name=op.f("snapshots_environment_id_fkey")),
        sa.UniqueConstraint("environment_id", "n", name=op.f("snapshots_environment_id_n_key")),
    )
    op.create_index(
        op.f("snapshots_org_id_environment_id_created_at_id_idx"),
        "snapshots",
        ["org_id", "environment_id", "created_at", "id"],
    )
    _derived()
    for table in ("environment_versions", "snapshots"):
        for timing, scope in (("UPDATE OR DELETE", "ROW"), ("TRUNCATE", "STATEMENT")):
            name = "append_only" if scope == "ROW" else "append_only_truncate"
            op.execute(
                f"CREATE TRIGGER {name} BEFORE {timing} ON {table} "
                f"FOR EACH {scope} EXECUTE FUNCTION trailgate_refuse_change()"
            )


def _derived() -> None:
    op.execute("CREATE EXTENSION IF NOT EXISTS btree_gist")
    op.create_table(
        "running",
        _uuid("id"),
        _uuid("org_id"),
        _uuid("environment_id"),
        sa.Column("during", INT4RANGE(), nullable=False),
        _text("name"),
        _text("digest"),
        _text("tag", nullable=True),
        _number("count"),
        sa.PrimaryKeyConstraint("id", name=op.f("running_pkey")),
    )
    op.create_index("running_during_idx", "running", ["environment_id", "during"], postgresql_using="gist")
    op.create_index("running_now_idx", "running", ["environment_id"], postgresql_where=sa.text("upper_inf(during)"))
    op.create_table(
        "deployments",
        _uuid("id"),
        _uuid("org_id"),
        _uuid("environment_id"),
        _text("name"),
        _text("digest"),
        _text("tag", nullable=True),
        _text("replaced", nullable=True),
        _number("deployed_n"),
        _time("deployed_at"),
        sa.Column("removed_n", sa.Integer()),
        _time("removed_at", nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("deployments_pkey")),
    )
    for what in ("environment_id", "digest"):
        op.create_index(
            op.f(f"deployments_org_id_{what}_deployed_at_id_idx"),
            "deployments",
            ["org_id", what, "deployed_at", "id"],
        )
    op.create_index(
        "deployments_now_idx",
        "deployments",
        ["environment_id", "name", "digest"],
        postgresql_where=sa.text("removed_n IS NULL"),
    )


def _uuid(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.Uuid(), nullable=False)


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer(), nullable=False)


def _text(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text(collation="C"), nullable=nullable)


def _time(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)
