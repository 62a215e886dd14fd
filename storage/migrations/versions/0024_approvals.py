"""Approvals and their decisions; the groups of people as their identity provider tells them."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0024"
down_revision = "0023"


def upgrade() -> None:
    op.create_table(
        "approvals",
        _uuid("id"),
        _uuid("org_id"),
        _uuid("trail_id"),
        _uuid("flow_id"),
        _text("digest", nullable=True),
        _uuid("environment_id", nullable=True),
        sa.Column("rule", JSONB(), nullable=False),
        sa.Column("comments", sa.Text()),
        _text("newest_commit", nullable=True),
        _text("oldest_commit", nullable=True),
        _uuid("requested_by"),
        _text("requester"),
        _text("claimed_by", nullable=True),
        _texts("author"),
        _time("deadline", nullable=True),
        _time("created_at"),
        _texts("named"),
        _texts("barred"),
        _text("status"),
        sa.Column("overridden", sa.Boolean(), nullable=False),
        _time("resolved_at", nullable=True),
        _time("remind_at", nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("approvals_pkey")),
    )
    _index("org_id", "created_at", "id")
    for column in ("status", "flow_id", "trail_id"):
        _index("org_id", column, "created_at", "id")
    _partial("environment", "environment_id IS NOT NULL", "org_id", "environment_id", "created_at", "id")
    _partial("overridden", "overridden", "org_id", "resolved_at", "id")
    _partial("due", "status = 'PENDING_APPROVAL'", "deadline")
    _partial("remind", "remind_at IS NOT NULL", "remind_at")
    _decisions()
    op.add_column("approval_outcomes", _uuid("record_id"))  # nothing was recorded yet
    op.create_unique_constraint(op.f("approval_outcomes_record_id_key"), "approval_outcomes", ["record_id"])
    op.add_column("sso_identities", sa.Column("groups", sa.ARRAY(sa.Text(collation="C")), nullable=True))


def _decisions() -> None:
    op.create_table(
        "approval_decisions",
        _uuid("id"),
        _uuid("org_id"),
        _uuid("approval_id"),
        _text("decider"),
        _text("resolution"),
        sa.Column("overrides", sa.Boolean(), nullable=False),
        sa.Column("comments", sa.Text()),
        _texts("meets"),
        _texts("roles"),
        _uuid("decided_by"),
        _text("claimed_by", nullable=True),
        _time("created_at"),
        sa.PrimaryKeyConstraint("id", name=op.f("approval_decisions_pkey")),
        sa.ForeignKeyConstraint(["approval_id"], ["approvals.id"], name=op.f("approval_decisions_approval_id_fkey")),
        sa.UniqueConstraint(
            "approval_id", "decider", "overrides", name=op.f("approval_decisions_approval_id_decider_overrides_key")
        ),
    )
    for timing, scope in (("UPDATE OR DELETE", "ROW"), ("TRUNCATE", "STATEMENT")):
        name = "append_only" if scope == "ROW" else "append_only_truncate"
        op.execute(
            f"CREATE TRIGGER {name} BEFORE {timing} ON approval_decisions "
            f"FOR EACH {scope} EXECUTE FUNCTION trailgate_refuse_change()"
        )


def _index(*columns: str) -> None:
    op.create_index(op.f(f"approvals_{'_'.join(columns)}_idx"), "approvals", list(columns))


def _partial(name: str, condition: str, *columns: str) -> None:
    op.create_index(f"approvals_{name}_idx", "approvals", list(columns), postgresql_where=sa.text(condition))


def _uuid(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.Uuid(), nullable=nullable)


def _text(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.Text(collation="C"), nullable=nullable)


def _texts(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.ARRAY(sa.Text(collation="C")), nullable=False)


def _time(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)
