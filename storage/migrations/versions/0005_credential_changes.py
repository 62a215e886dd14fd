"""NOTIFY every change that affects credentials, so that processes drop the ones they cache at once."""

from alembic import op

revision = "0005"
down_revision = "0004"

_FUNCTION = """
CREATE FUNCTION trailgate_announce_credential_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('credential_changes', to_jsonb(OLD) ->> TG_ARGV[0]);
    RETURN NULL;
END $$
"""

_IDENTIFIED_BY = {"api_keys": "org_id", "memberships": "org_id", "organisations": "id", "principals": "id"}


def upgrade() -> None:
    op.execute(_FUNCTION)
    for table, column in _IDENTIFIED_BY.items():
        op.execute(
            f"CREATE TRIGGER announce_credential_change AFTER UPDATE OR DELETE ON {table} "
            f"FOR EACH ROW EXECUTE FUNCTION trailgate_announce_credential_change('{column}')"
        )
