"""Reading principals and their memberships."""

from uuid import UUID

from domain.errors import NotFound
from domain.tenant import Tenant
from storage.database import Reader

_MEMBER = """
SELECT p.id, m.role FROM principals p JOIN memberships m ON m.principal_id = p.id
WHERE m.org_id = $1 AND p.username = $2 AND p.disabled_at IS NULL
"""


async def active_member(reader: Reader, tenant: Tenant, username: str) -> tuple[UUID, str]:
    """Return the id and role of an active member. Raises NotFound."""
    row = await reader.row(_MEMBER, tenant.org_id, username)
    if row is None:
        raise NotFound(f"Organisation '{tenant.org_slug}' has no active member '{username}'.")
    return row["id"], row["role"]


async def principal_named(reader: Reader, username: str) -> UUID | None:
    """Return the id of a principal by its name, which is unique over all organisations; None if there is none."""
    found: UUID | None = await reader.value("SELECT id FROM principals WHERE username = $1", username)
    return found


async def usernames(reader: Reader, principal_ids: list[UUID]) -> dict[UUID, str]:
    """Return the names of principals by id; erased principals have none."""
    rows = await reader.rows(
        "SELECT id, username FROM principals WHERE id = ANY($1::uuid[]) AND erased_at IS NULL", principal_ids
    )
    return {row["id"]: row["username"] for row in rows}
