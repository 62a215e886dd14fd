"""Keep results per identity of what ran, and judge attestations with several evidence files by the worst of them."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

_IDENTITY = "coalesce(nullif(name, ''), 'type:' || type)"
_NAME = "CASE WHEN identity <> 'type:' || type THEN identity END"

_JUDGE = """
INSERT INTO judgements (attestation_id, org_id, result_n)
SELECT DISTINCT ON (attestation_id) attestation_id, org_id, n
FROM (
  SELECT DISTINCT ON (r.attestation_id, file) r.attestation_id, r.org_id, r.n, r.status
  FROM attestation_results r LEFT JOIN evidence e ON e.id = r.evidence_id
  CROSS JOIN LATERAL (SELECT coalesce(e.name, r.evidence_id::text) AS file) AS named
  WHERE (r.n > 1 OR r.status <> 'PENDING')
    AND EXISTS (SELECT FROM attestation_results s WHERE s.attestation_id = r.attestation_id AND s.n > 1)
  ORDER BY r.attestation_id, file, r.n DESC
) AS newest
ORDER BY attestation_id, CASE status WHEN 'FAILED' THEN 0 WHEN 'PENDING' THEN 1 ELSE 2 END, n DESC
"""
"""Of the report, unless it is PENDING, and the newest result of each file name: the worst."""

_SHOW = """
UPDATE latest_results l SET status = r.status, result_n = r.n
FROM judgements j JOIN attestation_results r ON r.attestation_id = j.attestation_id AND r.n = j.result_n
WHERE l.attestation_id = j.attestation_id AND l.result_n <> r.n
"""
_FAIL = """
UPDATE trails t SET status = 'NON_COMPLIANT', status_at = now()
WHERE status <> 'NON_COMPLIANT'
  AND EXISTS (SELECT FROM latest_results l WHERE l.trail_id = t.id AND l.status = 'FAILED')
"""


def upgrade() -> None:
    op.execute("SET LOCAL statement_timeout = 0")
    op.add_column("attestations", sa.Column("identity", sa.Text(collation="C"), nullable=True))
    op.add_column("attestations", sa.Column("run", sa.Text(collation="C"), nullable=True))
    # USING writes the table once, without its trigger, which refuses changes.
    op.execute(f'ALTER TABLE attestations ALTER identity TYPE text COLLATE "C" USING {_IDENTITY}')
    op.alter_column("attestations", "identity", nullable=False)
    op.alter_column("latest_results", "key", new_column_name="identity")
    op.add_column("latest_results", sa.Column("name", sa.Text(collation="C"), nullable=True))
    op.add_column("latest_results", sa.Column("run", sa.Text(collation="C"), nullable=True))
    op.add_column("latest_results", sa.Column("earlier_runs", sa.ARRAY(sa.Text(collation="C")), nullable=True))
    op.execute(f'ALTER TABLE latest_results ALTER name TYPE text COLLATE "C" USING {_NAME}')
    op.add_column("latest_results", sa.Column("superseded", sa.Boolean(), nullable=False, server_default="false"))
    op.alter_column("latest_results", "superseded", server_default=None)
    op.create_table(
        "judgements",
        sa.Column("attestation_id", sa.Uuid(), nullable=False),
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("result_n", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("attestation_id", name=op.f("judgements_pkey")),
    )
    for statement in (_JUDGE, _SHOW, _FAIL):
        op.execute(statement)
