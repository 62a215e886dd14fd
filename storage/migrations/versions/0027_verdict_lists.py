"""Lists of verdicts by kind and by outcome."""

from alembic import op

revision = "0027"
down_revision = "0026"


def upgrade() -> None:
    for column in ("kind", "outcome"):
        op.create_index(
            op.f(f"verdicts_org_id_{column}_created_at_id_idx"), "verdicts", ["org_id", column, "created_at", "id"]
        )
