"""Add indexes for lists of trails and messages by status."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_index(op.f("trails_org_id_status_created_at_id_idx"), "trails", ["org_id", "status", "created_at", "id"])
    op.drop_index("messages_dead_idx", "messages")
    op.create_index(
        "messages_unsent_idx",
        "messages",
        ["org_id", "status", "created_at", "id"],
        postgresql_where=sa.text("status IN ('FAILED', 'SKIPPED')"),
    )
