"""Creating organisations."""

from typing import Any

import asyncpg

from domain.audit.events import Actor, AuditName, Event
from domain.errors import Conflict
from domain.identity.organisations import NewOrganisation, Organisation
from domain.identity.records import ORGANISATION
from domain.identity.slugs import check_slug
from domain.tenant import Tenant
from storage.audit.commands import append
from storage.database import Transaction
from storage.identity.queries.organisations import organisation_of
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
    }
    try:
        await insert(tx, "organisations", row)
    except asyncpg.UniqueViolationError as error:
        raise Conflict(f"An organisation with the slug '{new.slug}' exists already.") from error
    event = Event(AuditName.ORGANISATION_CREATED, actor, ORGANISATION, row, {"slug": new.slug, "type": row["type"]})
    await append(tx, Tenant(row["id"], new.slug), [event])
    return organisation_of(row)
