"""Logical environments: their members, in every version."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    op.add_column("environment_versions", sa.Column("members", JSONB(), nullable=False, server_default="{}"))
    op.alter_column("environment_versions", "members", server_default=None)
    op.create_index(
        "environment_versions_members_idx",
        "environment_versions",
        ["members"],
        postgresql_using="gin",
        postgresql_where=sa.text("kind = 'logical'"),
    )
    op.create_index(
        "environments_logical_idx",
        "environments",
        ["org_id", "created_at", "id"],
        postgresql_where=sa.text("kind = 'logical'"),
    )
