"""Count what is used of quotas, and recognise a delivery by its body where the sender signs nothing else."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

_TOTALS = (
    ("evidence_bytes", "sum(size)", "evidence", "external_url IS NULL"),
    ("webhook_configs", "count(*)", "webhook_configs", "archived_at IS NULL"),
    ("notification_rules", "count(*)", "notification_rules", "archived_at IS NULL"),
    ("api_keys", "count(*)", "api_keys", "revoked_at IS NULL"),
)
_IDENTITIES = """
UPDATE deliveries d
SET identity = CASE WHEN NOT k.by_body THEN d.delivery_id
                    WHEN k.nth = 1 THEN 'sha256:' || encode(d.body_sha256, 'hex')
                    ELSE 'copy:' || d.id END
FROM (
  SELECT id, source IN ('GITHUB', 'BITBUCKET') AS by_body,
         row_number() OVER (PARTITION BY config_id, body_sha256 ORDER BY received_at, id) AS nth
  FROM deliveries
) k
WHERE k.id = d.id
"""


def upgrade() -> None:
    op.alter_column("counter_deltas", "d", type_=sa.BigInteger())
    for kind, number, table, condition in _TOTALS:
        op.execute(
            "INSERT INTO counters (org_id, kind, parent_id, n) "
            f"SELECT org_id, '{kind}', '00000000-0000-0000-0000-000000000000', {number} "
            f"FROM {table} WHERE {condition} GROUP BY org_id"
        )
    op.create_index(
        "counters_suppressed_idx", "counters", ["org_id"], postgresql_where=sa.text("kind = 'messages_suppressed'")
    )
    op.add_column("deliveries", sa.Column("identity", sa.Text(collation="C"), nullable=True))
    op.execute(_IDENTITIES)
    op.alter_column("deliveries", "identity", nullable=False)
    op.drop_constraint("deliveries_config_id_delivery_id_key", "deliveries")
    op.create_unique_constraint(op.f("deliveries_config_id_identity_key"), "deliveries", ["config_id", "identity"])
    op.create_index(
        "deliveries_delivery_id_idx",
        "deliveries",
        ["config_id", "delivery_id"],
        postgresql_where=sa.text("identity <> delivery_id"),
    )
