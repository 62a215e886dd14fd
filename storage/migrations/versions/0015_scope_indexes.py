"""Add indexes for keys that are limited to repositories: the trails of one, and the verdicts about its trails."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    op.create_index(
        "trails_repository_idx",
        "trails",
        ["org_id", "git_repository", "created_at", "id"],
        postgresql_where=sa.text("git_repository IS NOT NULL"),
    )
    op.create_index("verdicts_trail_idx", "verdicts", ["trail_id"], postgresql_where=sa.text("trail_id IS NOT NULL"))
