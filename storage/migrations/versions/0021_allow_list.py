"""What may run in an environment although it is not as agreed."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0018"


def upgrade() -> None:
    op.create_table(
        "allowlist",
        _uuid("id"),
        _uuid("org_id"),
        _uuid("environment_id"),
        _text("digest", nullable=True),
        _text("name", nullable=True),
        _text("pattern", nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        _text("claimed_by", nullable=True),
        _uuid("added_by"),
        sa.Column("expires_at", sa.DateTime(timezone=True)),
        _time("created_at"),
        sa.PrimaryKeyConstraint("id", name=op.f("allowlist_pkey")),
        sa.ForeignKeyConstraint(["environment_id"], ["environments.id"], name=op.f("allowlist_environment_id_fkey")),
    )
    op.create_index(
        op.f("allowlist_org_id_environment_id_created_at_id_idx"),
        "allowlist",
        ["org_id", "environment_id", "created_at", "id"],
    )
    op.create_index(
        "allowlist_until_idx", "allowlist", ["environment_id", sa.text("coalesce(expires_at, 'infinity'::timestamptz)")]
    )
    op.create_table(
        "allowlist_removals",
        _uuid("id"),
        _uuid("org_id"),
        _uuid("environment_id"),
        _uuid("entry_id"),
        _uuid("removed_by"),
        _time("created_at"),
        sa.PrimaryKeyConstraint("id", name=op.f("allowlist_removals_pkey")),
        sa.ForeignKeyConstraint(["entry_id"], ["allowlist.id"], name=op.f("allowlist_removals_entry_id_fkey")),
        sa.UniqueConstraint("entry_id", name=op.f("allowlist_removals_entry_id_key")),
    )
    op.create_table(
        "allowlist_uses",
        _uuid("id"),
        _uuid("org_id"),
        _uuid("environment_id"),
        _uuid("entry_id"),
        _text("name"),
        _text("digest"),
        _time("created_at"),
        sa.PrimaryKeyConstraint("id", name=op.f("allowlist_uses_pkey")),
        sa.ForeignKeyConstraint(["entry_id"], ["allowlist.id"], name=op.f("allowlist_uses_entry_id_fkey")),
        sa.UniqueConstraint("entry_id", "name", "digest", name=op.f("allowlist_uses_entry_id_name_digest_key")),
    )
    op.create_index(
        op.f("allowlist_uses_org_id_entry_id_created_at_id_idx"),
        "allowlist_uses",
        ["org_id", "entry_id", "created_at", "id"],
    )
    for table in ("allowlist", "allowlist_removals", "allowlist_uses"):
        for timing, scope in (("UPDATE OR DELETE", "ROW"), ("TRUNCATE", "STATEMENT")):
            name = "append_only" if scope == "ROW" else "append_only_truncate"
            op.execute(
                f"CREATE TRIGGER {name} BEFORE {timing} ON {table} "
                f"FOR EACH {scope} EXECUTE FUNCTION trailgate_refuse_change()"
            )


def _uuid(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.Uuid(), nullable=False)


def _text(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text(collation="C"), nullable=nullable)


def _time(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=False)
