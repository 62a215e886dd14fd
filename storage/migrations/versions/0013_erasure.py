"""Let the content of audit events be erased and nothing else of them; count users, members and service accounts."""

from alembic import op

revision = "0013"
down_revision = "0012"

_REFUSE_CHANGE = """
CREATE OR REPLACE FUNCTION trailgate_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  allowed text := current_setting('trailgate.retention', true);
BEGIN
  -- Facts may change only in a transaction that sets this, such as a migration.
  IF allowed = 'on' THEN
    RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
  END IF;
  -- An erasure removes the content of audit events; only their rows have these three columns.
  IF allowed = 'erasure' AND TG_OP = 'UPDATE'
     AND to_jsonb(NEW) = to_jsonb(OLD) || '{"payload": null, "nonce": null, "record_hash": null}' THEN
    RETURN NEW;
  END IF;
  RAISE EXCEPTION 'the table % is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$
"""
_TOTALS = (
    ("users", "principals", "kind = 'user' AND name IS NOT NULL AND archived_at IS NULL"),
    ("members", "memberships", "kind = 'user' AND archived_at IS NULL"),
    ("service_accounts", "principals", "kind = 'service' AND name IS NOT NULL AND archived_at IS NULL"),
)


def upgrade() -> None:
    op.execute(_REFUSE_CHANGE)
    op.create_index(op.f("api_keys_principal_id_idx"), "api_keys", ["principal_id"])
    for kind, table, condition in _TOTALS:
        op.execute(
            "INSERT INTO counters (org_id, kind, parent_id, n) "
            f"SELECT org_id, '{kind}', '00000000-0000-0000-0000-000000000000', count(*) "
            f"FROM {table} WHERE {condition} GROUP BY org_id"
        )
