"""Indexes for the compliance of what runs."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    # The same columns in another order: the flows of a digest are found one by one, and of one flow as fast as before.
    op.create_index(
        op.f("artifact_reports_org_id_digest_flow_id_created_at_id_idx"),
        "artifact_reports",
        ["org_id", "digest", "flow_id", "created_at", "id"],
    )
    op.drop_index("artifact_reports_org_id_flow_id_digest_created_at_id_idx", "artifact_reports")
    op.create_index(
        "deployments_places_idx",
        "deployments",
        ["org_id", "digest", "deployed_at", "id"],
        postgresql_where=sa.text("removed_n IS NULL"),
    )
