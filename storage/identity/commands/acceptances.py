"""Accepting invitations."""

from dataclasses import replace
from uuid import UUID

from domain.audit.events import Actor
from domain.errors import Conflict
from domain.identity.invitations import Invitation
from domain.identity.principals import NewPrincipal
from domain.tenant import Tenant
from storage.database import Row, Transaction
from storage.identity.commands.invitations import answer_invitation
from storage.identity.commands.principals import add_membership, create_principal_row
from storage.identity.queries.invitations import UNANSWERED, unusable_token
from storage.identity.queries.organisations import held_organisation

_ONE_AT_A_TIME = "SELECT pg_advisory_xact_lock(7241008, hashtext($1))"
"""By address: whoever accepts the invitations of two organisations becomes a user with one of them."""
_USER = "SELECT * FROM principals WHERE email = $1 AND kind = 'user' AND archived_at IS NULL FOR SHARE"
_HOLD = f"SELECT * FROM invitations WHERE org_id = $1 AND id = $2 AND issue = $3 AND {UNANSWERED} FOR UPDATE"


async def accept_invitation(tx: Transaction, tenant: Tenant, found: Invitation, name: str | None, actor: Actor) -> UUID:
    """Make the invited person a member, and a user unless the address has one; return the id of the user.

    `found` is the invitation as the token found it; the person acts, in the request and region of `actor`. Raises
    NotFound if it was answered or replaced meanwhile, and Conflict for a disabled account or an exceeded quota.
    """
    await tx.value(_ONE_AT_A_TIME, found.email)
    # In the order of those who remove a user: the user, the organisation, the invitation.
    user = await tx.row(_USER, found.email)
    organisation = await held_organisation(tx, tenant)
    held = await tx.row(_HOLD, tenant.org_id, found.id, found.issue)
    if held is None or organisation is None or organisation["archived_at"] is not None:
        raise unusable_token()
    if user is None:
        user = await _create_user(tx, tenant, held, name, actor)
    elif user["disabled_at"] is not None:
        raise Conflict("The account of this e-mail address is disabled: ask an administrator to enable it.", "state")
    user_id: UUID = user["id"]
    themselves = replace(actor, principal_id=user_id)
    answer = {"accepted_at": tx.now, "accepted_by": user_id}
    await answer_invitation(tx, tenant, dict(held), answer, themselves, verb="accepted")
    await add_membership(tx, tenant, user, held["role"], themselves)
    return user_id


async def _create_user(tx: Transaction, tenant: Tenant, held: Row, name: str | None, actor: Actor) -> Row:
    email, user_id = held["email"], tx.new_id()
    new = NewPrincipal("user", email, None, user_id, name=name or held["name"] or email, email=email)
    return await create_principal_row(tx, tenant, new, replace(actor, principal_id=user_id))
