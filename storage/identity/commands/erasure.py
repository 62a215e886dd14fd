"""Erasing a person: what names them is removed, what they did stays in the audit under their id.

docs/access.md lists each place, and what stays. A table that gets personal texts gets a statement here.
"""

from collections.abc import Sequence
from itertools import groupby
from typing import Any
from uuid import UUID

from domain.audit.events import Actor, AuditName, Event
from domain.errors import Forbidden
from domain.identity.principals import PersonalData
from domain.identity.records import API_KEY
from domain.tenant import Tenant
from storage.audit.commands import append, erase_contents
from storage.database import Row, Transaction
from storage.identity.commands.invitations import revoke_invitation_of
from storage.identity.commands.principals import USERS, remove_principal
from storage.identity.queries.principals import get_user, labels_of_keys

ERASED = "erased"
"""The label of the keys of an erased person."""

_PERSON = """
SELECT * FROM principals
WHERE org_id = $1 AND id = $2 AND kind = 'user' AND (name IS NOT NULL OR erased_at IS NOT NULL) FOR UPDATE
"""


async def erase_person(tx: Transaction, tenant: Tenant, user_id: UUID, actor: Actor) -> PersonalData:
    """Delete a person, if that is not done yet, and erase what names them; return what was erased.

    A person who is erased already stays so. Raises NotFound, Forbidden for a member whom another organisation manages,
    and Conflict for a last administrator.
    """
    held = await tx.row(_PERSON, tenant.org_id, user_id)
    if held is None:
        await get_user(tx, tenant, user_id)
        raise Forbidden("Another organisation manages this user: only that one can erase the personal data.")
    found = PersonalData(user_id, held["email"], held["name"], held["github_id"], await labels_of_keys(tx, user_id))
    if held["erased_at"] is None:
        await _erase(tx, tenant, dict(held), actor)
    return found


async def _erase(tx: Transaction, tenant: Tenant, held: dict[str, Any], actor: Actor) -> None:
    if held["archived_at"] is None:
        held = await remove_principal(tx, tenant, held, actor)
    await revoke_invitation_of(tx, tenant, held["email"], actor)
    await _erase_labels(tx, held["id"], actor)
    await tx.execute("UPDATE sessions SET user_agent = NULL, address = NULL WHERE principal_id = $1", held["id"])
    await tx.execute(_FORGET_SUBJECT, held["id"])
    await tx.execute("DELETE FROM idempotency_keys WHERE principal_id = $1", held["id"])
    nothing = {"name": None, "description": None, "email": None, "github_id": None}
    # Only a user's address names a person; `admin`, the first administrator, has none, and each start looks for it.
    username = held["username"] if held["email"] is None else f"{ERASED}-{held['id']}"
    await USERS.change(tx, tenant, actor, held, {**nothing, "username": username, "erased_at": tx.now}, verb="erased")


_FORGET_SUBJECT = "UPDATE sso_identities SET issuer = NULL, subject = NULL, groups = NULL WHERE principal_id = $1"

_RELABEL = """
UPDATE api_keys k SET name = $2, version = k.version + 1 FROM organisations o
WHERE k.principal_id = $1 AND k.name <> $2 AND o.id = k.org_id
RETURNING k.*, o.slug
"""


async def _erase_labels(tx: Transaction, user_id: UUID, actor: Actor) -> None:
    """Erase the labels of a person's keys, in every organisation: out of the rows, and out of the ledgers' events."""
    keys = sorted(await tx.rows(_RELABEL, user_id, ERASED), key=lambda key: (key["org_id"], key["id"]))
    await erase_contents(tx, [key["id"] for key in keys])
    for (org_id, slug), own in groupby(keys, lambda key: (key["org_id"], key["slug"])):
        await append(tx, Tenant(org_id, slug), _key_events(list(own), actor))


def _key_events(keys: Sequence[Row], actor: Actor) -> list[Event]:
    return [Event(AuditName.API_KEY_ERASED, actor, API_KEY, key, {"apiKeyId": str(key["id"])}) for key in keys]
