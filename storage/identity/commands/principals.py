"""Creating, changing and removing principals, and their membership of organisations."""

from dataclasses import replace
from typing import Any
from uuid import UUID

from domain.audit.events import Actor
from domain.errors import Conflict
from domain.identity.grants import check_role_exists
from domain.identity.principals import NewPrincipal
from domain.identity.quotas import Quota
from domain.identity.records import MEMBERSHIP, PRINCIPAL
from domain.tenant import Tenant
from storage.database import Row, Transaction
from storage.definitions import Definition
from storage.identity.commands.api_keys import revoke_keys_of
from storage.identity.commands.invitations import revoke_invitation_of
from storage.identity.commands.quotas import charge, release
from storage.identity.commands.sessions import revoke_sessions_of
from storage.identity.queries.organisations import held_organisation
from storage.identity.tables import memberships, principals

PRINCIPALS = Definition(
    "principal",
    PRINCIPAL,
    principals,
    shown={"kind": "kind"},
    taken={
        "principals_username_key": "A service account or workload identity with the name '{name}' exists already.",
        "principals_github_id_key": "Another user has the GitHub id '{github_id}'.",
    },
)
"""Events show no names: those of persons may have to be erased."""

_ADDRESS_TAKEN = "A user with the e-mail address '{email}' exists already: make that user a member."

SERVICE_ACCOUNTS = replace(PRINCIPALS, noun="service account")
USERS = replace(
    PRINCIPALS,
    noun="user",
    taken={**PRINCIPALS.taken, "principals_username_key": _ADDRESS_TAKEN, "principals_email_key": _ADDRESS_TAKEN},
)
"""The same, by what they are called in errors; a user's name is the address."""

MEMBERSHIPS = Definition(
    "member",
    MEMBERSHIP,
    memberships,
    shown={"principalId": "principal_id", "role": "role"},
    taken={"memberships_org_id_principal_id_key": "This user is a member already."},
)


async def create_principal(tx: Transaction, tenant: Tenant, new: NewPrincipal, actor: Actor) -> UUID:
    """Create a principal and, with a role, its membership of the organisation; return the id of the principal.

    Raises Invalid for an unknown role, Conflict for a taken name, e-mail address or GitHub id, and when the
    organisation's quota is exceeded.
    """
    made: UUID = (await create_principal_row(tx, tenant, new, actor))["id"]
    return made


async def create_principal_row(tx: Transaction, tenant: Tenant, new: NewPrincipal, actor: Actor) -> dict[str, Any]:
    """Do the same and return the whole row."""
    values = {
        "id": new.id or tx.new_id(),
        "kind": new.kind,
        "username": new.username,
        "name": new.name,
        "description": new.description,
        "email": new.email,
        "github_id": new.github_id,
        "disabled_at": None,
        "erased_at": None,
    }
    if (quota := _quota_of(values)) is not None:
        await charge(tx, tenant, quota)
    kind = USERS if new.kind == "user" else PRINCIPALS
    row = await kind.create(tx, tenant, actor, values)
    if new.role is not None:
        await add_membership(tx, tenant, row, new.role, actor)
    return row


def _quota_of(principal: Row) -> Quota | None:
    """Return the quota that a principal counts against; none if it is an internal one."""
    kinds = {"user": Quota.USERS, "service": Quota.SERVICE_ACCOUNTS, "workload": Quota.WORKLOAD_IDENTITIES}
    return kinds.get(principal["kind"]) if principal["name"] is not None else None


async def add_membership(tx: Transaction, tenant: Tenant, principal: Row, role: str, actor: Actor) -> dict[str, Any]:
    """Make a principal a member, who needs no invitation any more.

    Raises Invalid for an unknown role, Conflict for a member, and when the organisation's quota is exceeded.
    """
    check_role_exists(role)
    if principal["kind"] == "user":
        await charge(tx, tenant, Quota.MEMBERS)
        await revoke_invitation_of(tx, tenant, principal["email"], actor)
    values = {"principal_id": principal["id"], "kind": principal["kind"], "role": role}
    return await MEMBERSHIPS.create(tx, tenant, actor, values)


async def hold_membership(tx: Transaction, tenant: Tenant, principal_id: UUID) -> dict[str, Any] | None:
    """Return the membership, locked until the transaction ends; None if there is none."""
    row = await tx.row(
        "SELECT * FROM memberships WHERE org_id = $1 AND principal_id = $2 AND archived_at IS NULL FOR UPDATE",
        tenant.org_id,
        principal_id,
    )
    return dict(row) if row else None


async def change_role(tx: Transaction, tenant: Tenant, held: Row, role: str, actor: Actor) -> dict[str, Any]:
    """Change the role of a locked membership.

    Raises Invalid for an unknown role, Conflict for the last administrator.
    """
    check_role_exists(role)
    if role != "admin":
        await _keep_an_administrator(tx, tenant, held)
    return await MEMBERSHIPS.change(tx, tenant, actor, held, {"role": role})


async def end_membership(tx: Transaction, tenant: Tenant, held: Row, actor: Actor) -> dict[str, Any]:
    """End a locked membership: its keys and sessions stop with it. Raises Conflict for the last administrator."""
    await _keep_an_administrator(tx, tenant, held)
    return await _end_membership(tx, tenant, held, actor)


async def _end_membership(tx: Transaction, tenant: Tenant, held: Row, actor: Actor) -> dict[str, Any]:
    await revoke_keys_of(tx, tenant, held["principal_id"], actor)
    await revoke_sessions_of(tx, tenant, held["principal_id"], actor)
    if held["kind"] == "user":
        await release(tx, tenant, Quota.MEMBERS)
    return await MEMBERSHIPS.archive(tx, tenant, actor, held)


_ANOTHER_ADMINISTRATOR = """
SELECT EXISTS (
  SELECT FROM memberships m JOIN principals p ON p.id = m.principal_id
  WHERE m.org_id = $1 AND m.kind = 'user' AND m.role = 'admin' AND m.archived_at IS NULL AND m.principal_id <> $2
    AND p.disabled_at IS NULL
)
"""


async def _keep_an_administrator(tx: Transaction, tenant: Tenant, held: Row) -> None:
    """Raise Conflict if the member is the last active administrator; hold the organisation, so that two cannot go."""
    if held["role"] != "admin" or held["kind"] != "user":
        return
    await held_organisation(tx, tenant)
    if not await tx.value(_ANOTHER_ADMINISTRATOR, tenant.org_id, held["principal_id"]):
        raise Conflict("This is the last administrator: give another member the role ADMIN first.", "state")


async def disable(tx: Transaction, tenant: Tenant, held: Row, actor: Actor, *, is_active: bool) -> dict[str, Any]:
    """Disable a locked principal everywhere, or enable it again. Raises Conflict for a last administrator."""
    if not is_active and held["disabled_at"] is None:
        await _keep_administrators(tx, held)
    disabled_at = None if is_active else held["disabled_at"] or tx.now
    return await PRINCIPALS.change(tx, tenant, actor, held, {"disabled_at": disabled_at})


_MEMBERSHIPS_OF = """
SELECT m.*, o.slug FROM memberships m JOIN organisations o ON o.id = m.org_id
WHERE m.principal_id = $1 AND m.archived_at IS NULL ORDER BY m.org_id FOR UPDATE OF m
"""


async def _keep_administrators(tx: Transaction, held: Row) -> None:
    """Raise Conflict if the organisation that manages a principal loses its last administrator with it.

    Others have no say: by making somebody else's user their only administrator they could keep a leaver in office.
    """
    for membership in await tx.rows(_MEMBERSHIPS_OF, held["id"]):
        if membership["org_id"] == held["org_id"]:
            await _keep_an_administrator(tx, Tenant(membership["org_id"], membership["slug"]), membership)


async def remove_principal(tx: Transaction, tenant: Tenant, held: Row, actor: Actor) -> dict[str, Any]:
    """Remove a locked principal: its memberships, keys and sessions end, and its names are free again.

    An open invitation of the organisation ends as well.

    Raises Conflict for the last administrator of the organisation that manages it.
    """
    await _keep_administrators(tx, held)
    for membership in await tx.rows(_MEMBERSHIPS_OF, held["id"]):
        await _end_membership(tx, Tenant(membership["org_id"], membership["slug"]), membership, actor)
    if (quota := _quota_of(held)) is not None:
        await release(tx, tenant, quota)
    await revoke_invitation_of(tx, tenant, held["email"], actor)
    return await PRINCIPALS.archive(tx, tenant, actor, held, {"disabled_at": held["disabled_at"] or tx.now})


_REMAINING = """
SELECT m.* FROM memberships m
WHERE m.org_id = $1 AND m.kind = 'user' AND m.archived_at IS NULL LIMIT 2 FOR UPDATE
"""
_MANAGED = "SELECT * FROM principals WHERE org_id = $1 AND id = $2 AND archived_at IS NULL FOR UPDATE"


async def remove_last_member(tx: Transaction, tenant: Tenant, actor: Actor) -> None:
    """Remove the only person whom an organisation that is to be deleted has left, although it is an administrator.

    The account goes, too, if the organisation manages it. With several members, none is removed.
    """
    remaining = await tx.rows(_REMAINING, tenant.org_id)
    if len(remaining) != 1:
        return
    held = dict(remaining[0])
    await _end_membership(tx, tenant, held, actor)
    if account := await tx.row(_MANAGED, tenant.org_id, held["principal_id"]):
        await remove_principal(tx, tenant, dict(account), actor)
