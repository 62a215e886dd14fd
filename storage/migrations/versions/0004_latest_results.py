"""Rename slot_heads to latest_results."""

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.rename_table("slot_heads", "latest_results")
    op.execute("ALTER INDEX slot_heads_pkey RENAME TO latest_results_pkey")
