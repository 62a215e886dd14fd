"""Making, resending and revoking invitations. Accepting them: `storage.identity.commands.acceptances`.

Nobody who is a member has an open invitation: who adds a member and who invites both hold the organisation first.
"""

from typing import Any
from uuid import UUID

from domain.audit.events import Actor
from domain.errors import Conflict, NotFound
from domain.identity.invitations import (
    INVITATION_EVENT,
    Invitation,
    Issue,
    NewInvitation,
    issue_data,
    token_hash,
    token_of,
)
from domain.identity.quotas import Quota
from domain.identity.records import INVITATION
from domain.notifications.rules import Channel
from domain.tenant import Tenant
from storage.authenticator import Purpose
from storage.database import Row, Transaction
from storage.definitions import Definition
from storage.identity.commands.quotas import charge, release
from storage.identity.queries.invitations import UNANSWERED, invitation_of, is_member, no_such_invitation
from storage.identity.queries.organisations import held_organisation
from storage.identity.tables import invitations
from storage.outbox.commands import NewMessage, destination_for, enqueue

INVITATIONS = Definition(
    "invitation",
    INVITATION,
    invitations,
    shown={"role": "role", "sentByEmail": "mailed"},
    taken={"invitations_email_key": "This e-mail address has an open invitation already."},
)
"""Events show neither address nor name: those of persons may have to be erased."""

_UNANSWERED_ADDRESS = f"SELECT * FROM invitations WHERE org_id = $1 AND email = $2 AND {UNANSWERED} FOR UPDATE"


async def create_invitation(
    tx: Transaction, tenant: Tenant, new: NewInvitation, actor: Actor
) -> tuple[Invitation, str]:
    """Invite a person; return the invitation with its token. An expired one of the same address is revoked.

    Raises Conflict for a member, for an address with an open invitation and for an exceeded quota, Throttled beyond the
    quota of mails.
    """
    organisation = await held_organisation(tx, tenant)
    if organisation is None or organisation["archived_at"] is not None:
        raise NotFound(f"There is no organisation '{tenant.org_slug}'.")
    if await is_member(tx, tenant, new.email):
        raise Conflict("The person with this e-mail address is a member already.", "state")
    if former := await tx.row(_UNANSWERED_ADDRESS, tenant.org_id, new.email):
        if former["expires_at"] > tx.now:
            raise Conflict(f"This address has an open invitation: resend or revoke invitation {former['id']}.")
        await _revoke(tx, tenant, former, actor)
    await charge(tx, tenant, Quota.INVITATIONS)
    invitation_id = tx.new_id()
    token, issued = _issued(tx, invitation_id, 1, new.issue)
    person = {"id": invitation_id, "email": new.email, "name": new.name, "role": new.role}
    unanswered = {"accepted_at": None, "accepted_by": None, "revoked_at": None}
    row = await INVITATIONS.create(tx, tenant, actor, {**person, **issued, **unanswered})
    await _send(tx, tenant, row)
    return invitation_of(row), token


async def resend_invitation(
    tx: Transaction, tenant: Tenant, invitation_id: UUID, issue: Issue, actor: Actor
) -> tuple[Invitation, str]:
    """Give an invitation a new token and validity; return it with the token. The former token stops working.

    Raises NotFound, Conflict if it is accepted or revoked, Throttled beyond the quota of mails.
    """
    held = await _hold(tx, tenant, invitation_id)
    if held["accepted_at"] is not None or held["revoked_at"] is not None:
        raise Conflict("This invitation is accepted or revoked: create another one.", "state")
    token, issued = _issued(tx, invitation_id, held["issue"] + 1, issue)
    row = await INVITATIONS.change(tx, tenant, actor, held, issued, verb="resent")
    await _send(tx, tenant, row)
    return invitation_of(row), token


async def revoke_invitation(tx: Transaction, tenant: Tenant, invitation_id: UUID, actor: Actor) -> Invitation:
    """Revoke an invitation and return it as it was; revoking it again changes nothing.

    Raises NotFound, Conflict if it is accepted.
    """
    held = await _hold(tx, tenant, invitation_id)
    if held["accepted_at"] is not None:
        raise Conflict("This invitation is accepted: remove the member instead.", "state")
    if held["revoked_at"] is None:
        await _revoke(tx, tenant, held, actor)
    return invitation_of(held)


async def revoke_invitation_of(tx: Transaction, tenant: Tenant, email: str | None, actor: Actor) -> None:
    """Revoke the open invitation of a person who becomes a member in another way, or is removed."""
    if email is not None and (held := await tx.row(_UNANSWERED_ADDRESS, tenant.org_id, email)):
        await _revoke(tx, tenant, held, actor)


async def answer_invitation(
    tx: Transaction, tenant: Tenant, held: Row, answer: Row, actor: Actor, *, verb: str
) -> None:
    """Record how a locked invitation ends, and remove what names the person."""
    await INVITATIONS.change(tx, tenant, actor, held, {**answer, "email": None, "name": None}, verb=verb)
    await release(tx, tenant, Quota.INVITATIONS)


async def _revoke(tx: Transaction, tenant: Tenant, held: Row, actor: Actor) -> None:
    await answer_invitation(tx, tenant, dict(held), {"revoked_at": tx.now}, actor, verb="revoked")


async def _hold(tx: Transaction, tenant: Tenant, invitation_id: UUID) -> dict[str, Any]:
    sql = "SELECT * FROM invitations WHERE org_id = $1 AND id = $2 FOR UPDATE"
    held = await tx.row(sql, tenant.org_id, invitation_id)
    if held is None:
        raise no_such_invitation(invitation_id)
    return dict(held)


def _issued(tx: Transaction, invitation_id: UUID, number: int, issue: Issue) -> tuple[str, dict[str, Any]]:
    """Return the token of an issue and its columns. Only the hash is stored: the relay makes the token again."""
    data = issue_data(invitation_id, number, mailed=issue.mailed)
    token = token_of(tx.authenticator.mac(Purpose.INVITATION, data))
    return token, {
        "issue": number,
        "token_sha256": token_hash(token),
        "mailed": issue.mailed,
        "expires_at": tx.now + issue.lifetime,
    }


async def _send(tx: Transaction, tenant: Tenant, row: Row) -> None:
    """Queue the mail of an issue. Its destination is its own, so that a bad address does not delay other mails.

    Neither of them contains the address: people may read about them who may not read the invitation.
    """
    if not row["mailed"]:
        return
    await charge(tx, tenant, Quota.INVITATION_MAILS_PER_HOUR)
    name = f"invitation:{row['id']}:{row['issue']}"
    destination = await destination_for(tx, tenant, Channel.EMAIL, name, f"invitation {row['id']}")
    payload = {"invitationId": str(row["id"]), "issue": row["issue"]}
    await enqueue(tx, tenant, [NewMessage(destination, Channel.EMAIL, INVITATION_EVENT, name, payload)])
