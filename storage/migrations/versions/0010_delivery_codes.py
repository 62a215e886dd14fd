"""Authenticate deliveries that wait for the worker, which whoever owns the database could insert before."""

import json
from typing import Any

import sqlalchemy as sa
from alembic import op

from storage.authenticator import Authenticator
from storage.inbox.codes import code_of

revision = "0010"
down_revision = "0009"

_AT_ONCE = 1000
_WAITING = sa.text("""
SELECT d.id, d.org_id, d.config_id, d.source, d.identity, d.event, d.body_id, d.body_sha256,
       b.headers::text AS headers, b.accepted_at
FROM deliveries d JOIN inbox_bodies b ON b.id = d.body_id
WHERE d.id > :after AND (d.status = 'FAILED' OR d.id IN (SELECT delivery_id FROM inbox))
ORDER BY d.id LIMIT :limit
""")
_SET = sa.text("UPDATE inbox_bodies SET mac = :mac WHERE id = :id")


def upgrade() -> None:
    op.add_column("inbox_bodies", sa.Column("accepted_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("inbox_bodies", sa.Column("mac", sa.LargeBinary(), nullable=False, server_default=""))
    op.alter_column("inbox_bodies", "mac", server_default=None)
    op.execute("UPDATE inbox_bodies b SET accepted_at = d.received_at FROM deliveries d WHERE d.body_id = b.id")
    op.execute("UPDATE inbox_bodies SET accepted_at = now() WHERE accepted_at IS NULL")
    op.alter_column("inbox_bodies", "accepted_at", nullable=False)
    authenticator = op.get_context().config.attributes.get("authenticator")  # type: ignore[union-attr]
    if authenticator:
        _adopt(authenticator)


def _adopt(authenticator: Authenticator) -> None:
    """Make the codes of the deliveries that the earlier version accepted and that may still be processed."""
    connection, after = op.get_bind(), "00000000-0000-0000-0000-000000000000"
    while rows := list(connection.execute(_WAITING, {"after": after, "limit": _AT_ONCE}).mappings()):
        after = rows[-1]["id"]
        for row in rows:
            delivery: dict[str, Any] = {**row, "headers": json.loads(row["headers"])}
            connection.execute(_SET, {"id": row["body_id"], "mac": code_of(delivery, authenticator)})
