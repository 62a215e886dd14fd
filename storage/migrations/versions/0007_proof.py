"""Keep H(record) with each event; authenticate unsealed events and ledger heads; complete the versions of flows."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.add_column("audit_events", sa.Column("record_hash", sa.LargeBinary(), nullable=True))
    # Events that wait already have no code: the sealer accepts that once, before it has sealed anything itself.
    op.add_column("unsealed", sa.Column("mac", sa.LargeBinary(), nullable=False, server_default=""))
    op.alter_column("unsealed", "mac", server_default=None)
    op.create_table(
        "ledger_heads",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("chain_hash", sa.LargeBinary(), nullable=False),
        sa.Column("root", sa.LargeBinary(), nullable=False),
        sa.Column("mac", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("org_id", name=op.f("ledger_heads_pkey")),
    )
    op.create_table(
        "master_keys",
        sa.Column("key_id", sa.Text(collation="C"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("is_current", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("key_id", name=op.f("master_keys_pkey")),
    )
    op.add_column("flow_versions", sa.Column("archived_at", sa.DateTime(timezone=True), nullable=True))
    op.execute("SET LOCAL trailgate.retention = 'on'")
    op.execute("""
UPDATE flow_versions v SET archived_at = f.archived_at
FROM flows f WHERE f.id = v.flow_id AND f.version = v.version AND f.archived_at IS NOT NULL
""")
    op.execute("SET LOCAL trailgate.retention = 'off'")
