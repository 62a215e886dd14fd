"""Locking environments, so that what happens to one of them happens in turn."""

from collections.abc import Sequence
from uuid import UUID

from domain.errors import NotFound
from domain.tenant import Tenant
from storage.database import Row, Transaction
from storage.environments.scoping import check_environment_scope
from storage.environments.tables import environment_versions, environments

_HOLD = """
SELECT * FROM environments
WHERE org_id = $1 AND id = ANY($2::uuid[]) AND kind = 'physical' AND archived_at IS NULL
ORDER BY id FOR NO KEY UPDATE
"""
_VERSIONS = """
SELECT v.* FROM unnest($1::uuid[], $2::int[]) AS held(id, version)
JOIN environment_versions v ON v.environment_id = held.id AND v.version = held.version
"""
_OF_VERSION = ", ".join(f"v.{one.name}" for one in environment_versions.columns if one.name not in environments.columns)
_HOLD_ONE = f"""
SELECT e.*, {_OF_VERSION} FROM environments e
JOIN environment_versions v ON v.environment_id = e.id AND v.version = e.version
WHERE e.org_id = $1 AND e.id = $2 AND e.kind = 'physical' AND e.archived_at IS NULL
FOR NO KEY UPDATE OF e
"""


async def hold_environments(tx: Transaction, tenant: Tenant, ids: Sequence[UUID]) -> list[Row]:
    """Lock physical environments until the transaction ends and return each with its newest version.

    One that does not exist or is archived is left out.
    """
    heads = await tx.rows(_HOLD, tenant.org_id, ids)
    # A second statement: a join would have waited for the lock with a snapshot that lacks the newest version.
    rows = await tx.rows(_VERSIONS, [head["id"] for head in heads], [head["version"] for head in heads])
    versions = {row["environment_id"]: row for row in rows}
    return [{**versions[head["id"]], **head} for head in heads]


async def hold_environment(tx: Transaction, tenant: Tenant, environment_id: UUID) -> Row:
    """Lock one environment within the tenant's scopes and return it with its newest version. Raises NotFound.

    Every report does this, with one statement that is planned once.
    """
    check_environment_scope(tenant, environment_id)
    held = await tx.rows(_HOLD_ONE, tenant.org_id, environment_id)
    if not held:  # or it got a version while the statement waited for the lock, with a snapshot that lacks it
        held = await hold_environments(tx, tenant, [environment_id])
    if not held:
        raise NotFound(f"There is no environment {environment_id}.")
    return held[0]
