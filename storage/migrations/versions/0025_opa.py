"""Bundles of Rego, and what they decided."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0025"
down_revision = "0024"

_ACTIVE = "archived_at IS NULL"


def upgrade() -> None:
    _create_bundles()
    _create_decisions()


def _create_bundles() -> None:
    op.create_table(
        "opa_bundles",
        _column("id", sa.Uuid()),
        _column("org_id", sa.Uuid()),
        _column("name", sa.Text(collation="C")),
        _column("bundle_version", sa.Text(collation="C")),
        _column("modules", JSONB()),
        _column("data", JSONB()),
        _column("rules", JSONB()),
        _column("sha256", sa.Text(collation="C")),
        _column("size", sa.Integer()),
        sa.Column("activated_at", sa.DateTime(timezone=True)),
        _column("created_by", sa.Uuid()),
        _column("version", sa.Integer()),
        _column("created_at", sa.DateTime(timezone=True)),
        _column("updated_at", sa.DateTime(timezone=True)),
        sa.Column("archived_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("id", name=op.f("opa_bundles_pkey")),
    )
    activated = sa.text(f"{_ACTIVE} AND activated_at IS NOT NULL")
    op.create_index(
        "opa_bundles_version_key",
        "opa_bundles",
        ["org_id", "name", "bundle_version"],
        unique=True,
        postgresql_where=sa.text(_ACTIVE),
    )
    op.create_index(
        "opa_bundles_active_key", "opa_bundles", ["org_id", "name"], unique=True, postgresql_where=activated
    )
    op.create_index(
        "opa_bundles_activated_idx", "opa_bundles", ["org_id", "activated_at", "id"], postgresql_where=activated
    )
    op.create_index(op.f("opa_bundles_org_id_created_at_id_idx"), "opa_bundles", ["org_id", "created_at", "id"])


def _create_decisions() -> None:
    op.create_table(
        "opa_decisions",
        _column("id", sa.Uuid()),
        _column("org_id", sa.Uuid()),
        _column("bundle_id", sa.Uuid()),
        _column("bundle_name", sa.Text(collation="C")),
        _column("bundle_version", sa.Text(collation="C")),
        _column("bundle_sha256", sa.Text(collation="C")),
        _column("input", sa.Text()),
        _column("input_digest", sa.Text(collation="C")),
        _column("size", sa.Integer()),
        _column("allow", sa.Boolean()),
        _column("reasons", JSONB()),
        _column("evaluated_by", sa.Uuid()),
        _column("created_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("id", name=op.f("opa_decisions_pkey")),
        sa.ForeignKeyConstraint(["bundle_id"], ["opa_bundles.id"], name=op.f("opa_decisions_bundle_id_fkey")),
    )
    for filters in ([], ["allow"], ["bundle_id", "allow"], ["bundle_id"]):
        columns = ["org_id", *filters, "created_at", "id"]
        op.create_index(op.f(f"opa_decisions_{'_'.join(columns)}_idx"), "opa_decisions", columns)
    for timing, scope in (("UPDATE OR DELETE", "ROW"), ("TRUNCATE", "STATEMENT")):
        name = "append_only" if scope == "ROW" else "append_only_truncate"
        op.execute(
            f"CREATE TRIGGER {name} BEFORE {timing} ON opa_decisions "
            f"FOR EACH {scope} EXECUTE FUNCTION trailgate_refuse_change()"
        )


def _column(name: str, kind: Any) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=False)
