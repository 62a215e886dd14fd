"""Creating, changing and deleting organisations."""

from collections.abc import Collection
from typing import Any

import asyncpg

from domain.audit.events import Actor, AuditName, Event
from domain.errors import Conflict, NotFound, Stale
from domain.identity.organisations import NewOrganisation, Organisation, OrganisationChange
from domain.identity.permissions import DEFAULT_ORGANISATION
from domain.identity.records import ORGANISATION
from domain.identity.slugs import check_slug
from domain.tenant import Tenant
from storage.audit.commands import append
from storage.database import Row, Transaction
from storage.identity.commands.principals import remove_last_member
from storage.identity.queries.organisations import contents_of, held_organisation, organisation_of
from storage.rows import insert


async def create_organisation(tx: Transaction, new: NewOrganisation, actor: Actor) -> Organisation:
    """Create an organisation. Raises Invalid for a bad slug, Conflict for a taken one."""
    check_slug(new.slug)
    row: dict[str, Any] = {
        "id": tx.new_id(),
        "slug": new.slug,
        "name": new.name,
        "description": new.description,
        "type": new.type.value,
        "settings": {},
        "version": 1,
        "created_at": tx.now,
        "updated_at": tx.now,
        "archived_at": None,
    }
    try:
        await insert(tx, "organisations", row)
    except asyncpg.UniqueViolationError as error:
        raise Conflict(f"An organisation with the slug '{new.slug}' exists already.") from error
    await _append(tx, AuditName.ORGANISATION_CREATED, row, actor)
    return organisation_of(row)


_UPDATE = """
UPDATE organisations SET name = $2, description = $3, updated_at = $4, version = version + 1 WHERE id = $1 RETURNING *
"""


async def update_organisation(
    tx: Transaction,
    tenant: Tenant,
    change: OrganisationChange,
    actor: Actor,
    *,
    expected: Collection[int] | None = None,
) -> Organisation:
    """Change an organisation's name or description. Raises NotFound, Stale."""
    held = await _hold(tx, tenant, expected)
    name = held["name"] if change.name is None else change.name
    description = held["description"] if change.description is None else change.description
    if (name, description) == (held["name"], held["description"]):
        return organisation_of(held)
    [row] = await tx.rows(_UPDATE, tenant.org_id, name, description, tx.now)
    await _append(tx, AuditName.ORGANISATION_UPDATED, row, actor)
    return organisation_of(row)


_ARCHIVE = """
UPDATE organisations SET archived_at = $2, updated_at = $2, version = version + 1 WHERE id = $1 RETURNING *
"""


async def delete_organisation(
    tx: Transaction,
    tenant: Tenant,
    actor: Actor,
    *,
    with_last_member: bool = False,
    expected: Collection[int] | None = None,
) -> Organisation:
    """Delete an organisation without contents; its slug is free again, and its ledger is kept.

    `with_last_member` removes the only member that is left: nobody else can remove the last administrator. Raises
    NotFound, Stale, and Conflict with the numbers while anything belongs to it.
    """
    held = await _hold(tx, tenant, expected)
    if held["slug"] == DEFAULT_ORGANISATION:
        raise Conflict(f"The organisation '{DEFAULT_ORGANISATION}' cannot be deleted.", "state")
    if with_last_member:
        await remove_last_member(tx, tenant, actor)
    if contents := await contents_of(tx, tenant):
        counted = ", ".join(f"{number} {noun}" for noun, number in contents.items())
        raise Conflict(f"The organisation still has {counted}: delete these first.", "state")
    [row] = await tx.rows(_ARCHIVE, tenant.org_id, tx.now)
    await _append(tx, AuditName.ORGANISATION_DELETED, row, actor)
    return organisation_of(row)


async def _hold(tx: Transaction, tenant: Tenant, expected: Collection[int] | None) -> Row:
    held = await held_organisation(tx, tenant)
    if held is None or held["archived_at"] is not None:
        raise NotFound(f"There is no organisation '{tenant.org_slug}'.")
    if expected is not None and held["version"] not in expected:
        raise Stale(f"The organisation is now at version {held['version']}; read it again and repeat the change.")
    return held


async def _append(tx: Transaction, name: AuditName, row: Row, actor: Actor) -> None:
    event = Event(name, actor, ORGANISATION, row, {"slug": row["slug"], "type": row["type"]})
    await append(tx, Tenant(row["id"], row["slug"]), [event])
