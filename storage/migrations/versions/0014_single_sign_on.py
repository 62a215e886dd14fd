"""Single sign-on: the identity provider of an organisation, and the keys that work without it."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision = "0014"
down_revision = "0013"

_ACTIVE = sa.text("archived_at IS NULL")
_ANNOUNCE = """
CREATE OR REPLACE FUNCTION trailgate_announce_credential_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('credential_changes', to_jsonb(coalesce(OLD, NEW)) ->> TG_ARGV[0]);
    RETURN NULL;
END $$
"""


def upgrade() -> None:
    op.add_column("api_keys", sa.Column("break_glass", sa.Boolean(), nullable=True))
    op.create_index("api_keys_break_glass_idx", "api_keys", ["org_id"], postgresql_where=sa.text("break_glass"))
    op.drop_index("memberships_principal_idx", "memberships")
    op.create_index(op.f("memberships_principal_id_idx"), "memberships", ["principal_id"])
    op.create_table(
        "sso_configs",
        _uuid("id"),
        _uuid("org_id"),
        _text("provider"),
        _text("issuer_url"),
        _text("client_id"),
        _uuid("client_secret_id", nullable=True),
        sa.Column("attribute_mappings", sa.Text(), nullable=False),
        sa.Column("group_role_mappings", sa.Text(), nullable=False),
        _text("default_role"),
        sa.Column("redirect_uris", ARRAY(sa.Text(collation="C")), nullable=False),
        sa.Column("is_mandatory", sa.Boolean(), nullable=False),
        *_versioned(),
        sa.PrimaryKeyConstraint("id", name=op.f("sso_configs_pkey")),
    )
    op.create_index("sso_configs_org_id_key", "sso_configs", ["org_id"], unique=True, postgresql_where=_ACTIVE)
    op.create_table(
        "sso_identities",
        _uuid("id"),
        _uuid("org_id"),
        _uuid("principal_id"),
        _text("issuer", nullable=True),
        _text("subject", nullable=True),
        *_versioned(),
        sa.PrimaryKeyConstraint("id", name=op.f("sso_identities_pkey")),
        sa.ForeignKeyConstraint(["principal_id"], ["principals.id"], name=op.f("sso_identities_principal_id_fkey")),
    )
    for name, columns in (
        ("subject_key", ["org_id", "issuer", "subject"]),
        ("principal_key", ["org_id", "principal_id", "issuer"]),
    ):
        op.create_index(f"sso_identities_{name}", "sso_identities", columns, unique=True, postgresql_where=_ACTIVE)
    op.create_index(op.f("sso_identities_principal_id_idx"), "sso_identities", ["principal_id"])
    op.execute(_ANNOUNCE)
    op.execute(
        "CREATE TRIGGER announce_credential_change AFTER INSERT OR UPDATE OR DELETE ON sso_configs "
        "FOR EACH ROW EXECUTE FUNCTION trailgate_announce_credential_change('org_id')"
    )


def _uuid(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.Uuid(), nullable=nullable)


def _text(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text(collation="C"), nullable=nullable)


def _versioned() -> list[sa.Column[object]]:
    return [
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("archived_at", sa.DateTime(timezone=True), nullable=True),
    ]
