"""Let organisations, people and service accounts be changed and removed, and give them names."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"

_ACTIVE = sa.text("archived_at IS NULL")
_FIRST_ORGANISATION = """
UPDATE principals p SET org_id = m.org_id
FROM (SELECT DISTINCT ON (principal_id) principal_id, org_id FROM memberships ORDER BY principal_id, created_at) m
WHERE m.principal_id = p.id
"""
_SERVICE_NAMES = """
UPDATE principals p SET name = substr(p.username, length(o.slug) + 2)
FROM organisations o WHERE o.id = p.org_id AND p.kind = 'service' AND starts_with(p.username, o.slug || '/')
"""
_MEMBERS = """
UPDATE memberships m SET updated_at = m.created_at, kind = p.kind FROM principals p WHERE p.id = m.principal_id
"""


def upgrade() -> None:
    _organisations()
    _principals()
    _memberships()
    op.create_index(
        op.f("api_keys_org_id_principal_id_created_at_id_idx"),
        "api_keys",
        ["org_id", "principal_id", "created_at", "id"],
    )


def _text(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text(collation="C"), nullable=nullable)


def _time(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _organisations() -> None:
    op.add_column("organisations", _time("archived_at", nullable=True))
    op.drop_constraint("organisations_slug_key", "organisations")
    op.create_index("organisations_slug_key", "organisations", ["slug"], unique=True, postgresql_where=_ACTIVE)
    op.create_index(op.f("organisations_created_at_id_idx"), "organisations", ["created_at", "id"])


def _principals() -> None:
    op.add_column("principals", sa.Column("org_id", sa.Uuid(), nullable=True))
    for name in ("name", "description", "github_id"):
        op.add_column("principals", _text(name, nullable=True))
    for name in ("updated_at", "archived_at"):
        op.add_column("principals", _time(name, nullable=True))
    op.execute(_FIRST_ORGANISATION)
    op.execute(_SERVICE_NAMES)
    op.execute("UPDATE principals SET name = username WHERE kind = 'user' AND name IS NULL")
    op.execute("UPDATE principals SET updated_at = created_at, email = lower(email)")
    for name in ("org_id", "updated_at"):
        op.alter_column("principals", name, nullable=False)
    op.drop_column("principals", "password_hash")
    op.drop_constraint("principals_username_key", "principals")
    for name in ("username", "email", "github_id"):
        op.create_index(f"principals_{name}_key", "principals", [name], unique=True, postgresql_where=_ACTIVE)
    op.create_index(op.f("principals_username_idx"), "principals", ["username"])
    op.create_index(
        "principals_named_idx",
        "principals",
        ["org_id", "kind", "created_at", "id"],
        postgresql_where=sa.text("name IS NOT NULL AND archived_at IS NULL"),
    )


def _memberships() -> None:
    op.add_column("memberships", _time("updated_at", nullable=True))
    op.add_column("memberships", _time("archived_at", nullable=True))
    op.add_column("memberships", _text("kind", nullable=True))
    op.execute(_MEMBERS)
    for name in ("updated_at", "kind"):
        op.alter_column("memberships", name, nullable=False)
    op.drop_constraint("memberships_pkey", "memberships")
    op.drop_constraint("memberships_id_key", "memberships")
    op.create_primary_key(op.f("memberships_pkey"), "memberships", ["id"])
    op.create_index(
        "memberships_org_id_principal_id_key",
        "memberships",
        ["org_id", "principal_id"],
        unique=True,
        postgresql_where=_ACTIVE,
    )
    op.create_index(
        "memberships_active_idx", "memberships", ["org_id", "kind", "created_at", "id"], postgresql_where=_ACTIVE
    )
    op.create_index("memberships_principal_idx", "memberships", ["principal_id"], postgresql_where=_ACTIVE)
