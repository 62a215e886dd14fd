"""Starting and ending the sessions of people who signed in."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from domain.audit.events import Actor, AuditName, Event
from domain.errors import NotFound, Unauthenticated
from domain.identity.api_keys import key_hash
from domain.identity.records import SESSION
from domain.identity.sessions import NewSession, Session, random_session
from domain.tenant import Tenant
from storage.audit.commands import append
from storage.database import Row, Transaction
from storage.identity.queries.sessions import get_session
from storage.rows import insert

_MEMBER = "SELECT true FROM memberships WHERE org_id = $1 AND principal_id = $2 AND archived_at IS NULL FOR SHARE"


async def start_session(
    tx: Transaction, tenant: Tenant, new: NewSession, lifetime: timedelta, actor: Actor
) -> tuple[Session, str]:
    """Start a session of a member, and return it with its text, which is stored only as a hash.

    Raises Unauthenticated for somebody who is being removed meanwhile.
    """
    if not await tx.value(_MEMBER, tenant.org_id, new.principal_id):
        raise Unauthenticated("Your membership has ended.")
    text, session_id = random_session(), tx.new_id()
    row = {
        "id": session_id,
        "org_id": tenant.org_id,
        "principal_id": new.principal_id,
        "method": new.method.value,
        "api_key_id": new.api_key_id,
        "sha256": key_hash(text),
        "user_agent": new.user_agent,
        "address": new.address,
        "version": 1,
        "created_at": tx.now,
        "expires_at": tx.now + lifetime,
        "revoked_at": None,
    }
    await insert(tx, "sessions", row)
    await append(tx, tenant, [_event(AuditName.SESSION_STARTED, actor, row)])
    return await get_session(tx, tenant, session_id), text


_REVOKE = """
UPDATE sessions SET revoked_at = $3, version = version + 1
WHERE org_id = $1 AND {} AND revoked_at IS NULL AND expires_at > $3
RETURNING *
"""
_REVOKE_ONE, _REVOKE_ALL = _REVOKE.format("id = $2"), _REVOKE.format("principal_id = $2")
_KNOWN = "SELECT true FROM sessions WHERE org_id = $1 AND id = $2"


async def revoke_session(tx: Transaction, tenant: Tenant, session_id: UUID, actor: Actor) -> None:
    """End a session with immediate effect; ending it again changes nothing. Raises NotFound."""
    ended = await tx.rows(_REVOKE_ONE, tenant.org_id, session_id, tx.now)
    await _append_ends(tx, tenant, ended, actor)
    if not ended and not await tx.value(_KNOWN, tenant.org_id, session_id):
        raise NotFound(f"There is no session {session_id}.")


async def revoke_sessions_of(tx: Transaction, tenant: Tenant, principal_id: UUID, actor: Actor) -> None:
    """End every session of a person in the organisation."""
    await _append_ends(tx, tenant, await tx.rows(_REVOKE_ALL, tenant.org_id, principal_id, tx.now), actor)


async def _append_ends(tx: Transaction, tenant: Tenant, ended: Sequence[Row], actor: Actor) -> None:
    if ended:
        await append(tx, tenant, [_event(AuditName.SESSION_REVOKED, actor, row) for row in ended])


def _event(name: AuditName, actor: Actor, row: Row) -> Event:
    payload = {"sessionId": str(row["id"]), "userId": str(row["principal_id"]), "method": row["method"]}
    return Event(name, actor, SESSION, row, payload)
