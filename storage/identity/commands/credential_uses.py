"""Recording when credentials are used."""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from domain.identity.permissions import CredentialKind
from storage.database import Transaction


def _noting(table: str, column: str) -> str:
    return f"""
INSERT INTO {table} ({column}, last_used_at) SELECT * FROM unnest($1::uuid[], $2::timestamptz[])
ON CONFLICT ({column}) DO UPDATE SET last_used_at = greatest({table}.last_used_at, excluded.last_used_at)
"""


_NOTE: Mapping[CredentialKind, str] = {
    "api_key": _noting("api_key_uses", "api_key_id"),
    "session": _noting("session_uses", "session_id"),
    "workload": _noting("workload_identity_uses", "workload_identity_id"),
}


async def note_uses(tx: Transaction, kind: CredentialKind, uses: Mapping[UUID, datetime]) -> None:
    """Record when credentials of a kind were last used, for many at once, so that no request has to write it."""
    ordered = sorted(uses.items())
    await tx.execute(_NOTE[kind], [one for one, _ in ordered], [used for _, used in ordered])
