"""Invitations."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"

_UNANSWERED = sa.text("accepted_at IS NULL AND revoked_at IS NULL")
_LISTED = ["org_id", "created_at", "id"]


def upgrade() -> None:
    op.create_table(
        "invitations",
        _uuid("id"),
        _uuid("org_id"),
        _text("email", nullable=True),
        _text("name", nullable=True),
        _text("role"),
        sa.Column("issue", sa.Integer(), nullable=False),
        sa.Column("token_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("mailed", sa.Boolean(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        _uuid("created_by"),
        _time("created_at"),
        _time("updated_at"),
        _time("expires_at"),
        _time("accepted_at", nullable=True),
        _uuid("accepted_by", nullable=True),
        _time("revoked_at", nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("invitations_pkey")),
        sa.UniqueConstraint("token_sha256", name=op.f("invitations_token_sha256_key")),
    )
    op.create_index(
        "invitations_email_key", "invitations", ["org_id", "email"], unique=True, postgresql_where=_UNANSWERED
    )
    op.create_index(op.f("invitations_org_id_created_at_id_idx"), "invitations", _LISTED)
    for name, condition in (
        ("unanswered", _UNANSWERED),
        ("accepted", sa.text("accepted_at IS NOT NULL")),
        ("revoked", sa.text("revoked_at IS NOT NULL")),
    ):
        op.create_index(f"invitations_{name}_idx", "invitations", _LISTED, postgresql_where=condition)


def _uuid(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.Uuid(), nullable=nullable)


def _text(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text(collation="C"), nullable=nullable)


def _time(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)
