"""Sessions of people who signed in."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.create_table(
        "sessions",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("principal_id", sa.Uuid(), nullable=False),
        _text("method", nullable=False),
        sa.Column("api_key_id", sa.Uuid(), nullable=True),
        sa.Column("sha256", sa.LargeBinary(), nullable=False),
        _text("user_agent", nullable=True),
        _text("address", nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        _time("created_at", nullable=False),
        _time("expires_at", nullable=False),
        _time("revoked_at", nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("sessions_pkey")),
        sa.UniqueConstraint("sha256", name=op.f("sessions_sha256_key")),
        sa.ForeignKeyConstraint(["principal_id"], ["principals.id"], name=op.f("sessions_principal_id_fkey")),
    )
    columns = ["org_id", "principal_id", "created_at", "id"]
    op.create_index(op.f(f"sessions_{'_'.join(columns)}_idx"), "sessions", columns)
    op.create_index(op.f("sessions_principal_id_idx"), "sessions", ["principal_id"])
    op.create_table(
        "session_uses",
        sa.Column("session_id", sa.Uuid(), nullable=False),
        _time("last_used_at", nullable=False),
        sa.PrimaryKeyConstraint("session_id", name=op.f("session_uses_pkey")),
    )
    op.execute(
        "CREATE TRIGGER announce_credential_change AFTER UPDATE OR DELETE ON sessions "
        "FOR EACH ROW EXECUTE FUNCTION trailgate_announce_credential_change('org_id')"
    )


def _text(name: str, *, nullable: bool) -> sa.Column[str]:
    return sa.Column(name, sa.Text(collation="C"), nullable=nullable)


def _time(name: str, *, nullable: bool) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)
