"""Handlers of invitations."""

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

from api.http.calls import Call, Reply
from api.http.dry_runs import Created, Deleted, DryRun, created, deleted
from api.http.paging import list_reply
from api.identity.cookies import session_cookie
from api.identity.handlers.sessions import new_session
from api.identity.origins import refuse_foreign_pages
from api.identity.schemas.invitations import (
    AcceptanceIn,
    AcceptedInvitationOut,
    InvitationIn,
    InvitationOut,
    InvitationsQuery,
    IssuedInvitationOut,
    IssueIn,
)
from api.identity.schemas.roles import RoleName
from domain.errors import Conflict, Invalid
from domain.identity.grants import check_role
from domain.identity.invitations import Invitation, Issue, NewInvitation
from domain.identity.permissions import Principal
from domain.identity.sessions import NewSession, SignInMethod
from domain.identity.single_sign_on import SsoConfig
from domain.notifications.channel_config import is_mail_address
from storage.database import Transaction
from storage.identity.commands import invitations as commands
from storage.identity.commands.acceptances import accept_invitation as accept
from storage.identity.queries import invitations as queries
from storage.identity.queries.principals import name_and_email
from storage.identity.queries.single_sign_on import find_sso_config


async def create_invitation(call: Call, body: InvitationIn, dry_run: DryRun = False) -> Created[IssuedInvitationOut]:
    """Invite a person to become a member, by a link that works once.

    The link is sent by e-mail or, without it, shown in this answer and nowhere else.
    """
    check_role(call.caller, body.role.role)
    email, issue = body.address, _issue(call, body)
    _check_deliverable(issue, email)
    new = NewInvitation(email, body.role.role, body.name, issue)
    async with call.transaction(dry_run=dry_run) as tx:
        invitation, token = await commands.create_invitation(tx, call.tenant, new, call.actor)
    return created(IssuedInvitationOut.issued(invitation, token, call, dry_run=dry_run), dry_run=dry_run)


async def list_invitations(call: Call, query: InvitationsQuery) -> Reply[list[InvitationOut]]:
    """List the invitations, oldest first, including answered ones."""
    now = call.services.clock.now()
    async with call.read() as reader:
        page = await queries.list_invitations(reader, call.tenant, query.window(), now, query.status)
    return list_reply(call, page, InvitationOut)


async def resend_invitation(
    call: Call, invitation_id: UUID, body: IssueIn | None = None, dry_run: DryRun = False
) -> Created[IssuedInvitationOut]:
    """Resend an invitation, also an expired one.

    It gets a new link and validity; the former link stops working at once.
    """
    issue = _issue(call, body or IssueIn())
    async with call.transaction(dry_run=dry_run) as tx:
        found = await queries.get_invitation(tx, call.tenant, invitation_id)
        check_role(call.caller, found.role)
        _check_deliverable(issue, found.email)
        invitation, token = await commands.resend_invitation(tx, call.tenant, invitation_id, issue, call.actor)
    return created(IssuedInvitationOut.issued(invitation, token, call, dry_run=dry_run), dry_run=dry_run)


async def revoke_invitation(call: Call, invitation_id: UUID, dry_run: DryRun = False) -> Deleted[InvitationOut]:
    """Revoke an invitation, with immediate effect.

    It stays in the list, without address and name; revoking it again changes nothing.
    """
    async with call.transaction(dry_run=dry_run) as tx:
        gone = await commands.revoke_invitation(tx, call.tenant, invitation_id, call.actor)
    return deleted(InvitationOut.of(gone, call), dry_run=dry_run)


async def accept_invitation(call: Call, body: AcceptanceIn, dry_run: DryRun = False) -> Created[AcceptedInvitationOut]:
    """Accept an invitation: become a member of the organisation.

    Needs no credential but the token. The person becomes a user unless the address has one. A link that was sent by
    e-mail also signs the person in, unless single sign-on is mandatory; one that was shown never does.
    """
    refuse_foreign_pages(call.request)
    async with call.transaction(dry_run=dry_run) as tx:
        tenant, invitation = await queries.invitation_by_token(tx, body.token, call.services.clock.now())
        nobody = Principal(tenant.org_id, "user", tenant.org_id, tenant.org_slug, "none", frozenset())
        user_id = await accept(tx, tenant, invitation, body.name, replace(call, principal=nobody).actor)
        person = replace(call, principal=replace(nobody, id=user_id))
        sso = await find_sso_config(tx, tenant)
        signs_in = invitation.mailed and not (sso and sso.is_mandatory)
        cookie = await _signed_in(person, tx) if signs_in else {}
        hint = None if signs_in else _how_to_sign_in(person, sso)
        answer = await _accepted(person, tx, invitation, hint)
    if dry_run:
        return created(answer, dry_run=True)
    return Reply(answer, headers={**cookie, "Cache-Control": "no-store"})


async def _signed_in(person: Call, tx: Transaction) -> dict[str, str]:
    """Start a session; return the header with its cookie."""
    _, token = await new_session(person, tx, NewSession(person.caller.id, SignInMethod.INVITATION))
    return session_cookie(person.services.settings, token)


async def _accepted(
    person: Call, tx: Transaction, invitation: Invitation, how_to_sign_in: str | None
) -> AcceptedInvitationOut:
    name, email = await name_and_email(tx, person.caller.id)
    return AcceptedInvitationOut(
        organisation=person.tenant.org_slug,
        organisation_id=person.tenant.org_id,
        user_id=person.caller.id,
        email=email,
        name=name,
        role=RoleName.of(invitation.role),
        is_signed_in=how_to_sign_in is None,
        how_to_sign_in=how_to_sign_in,
    )


def _how_to_sign_in(person: Call, sso: SsoConfig | None) -> str:
    organisation = person.tenant.org_slug
    if sso is not None:
        return (
            f"Sign in at the identity provider of {organisation}: ask an administrator for the page where that begins."
        )
    return f"Ask an administrator of {organisation} for an API key."


def _issue(call: Call, body: IssueIn) -> Issue:
    settings = call.services.settings
    has_mail = settings.smtp_url is not None
    if body.send_email and not has_mail:
        message = "No mail server is configured: set TRAILGATE_SMTP_URL and TRAILGATE_SMTP_FROM, or sendEmail to false."
        raise Conflict(message, "state")
    if body.ttl_days is not None and body.ttl_days > settings.invitation_days:
        raise Invalid.of("ttlDays", f"must be at most {settings.invitation_days} (TRAILGATE_INVITATION_DAYS)")
    days = settings.invitation_days if body.ttl_days is None else body.ttl_days
    return Issue(timedelta(days=days), mailed=has_mail if body.send_email is None else body.send_email)


def _check_deliverable(issue: Issue, email: str | None) -> None:
    """Raise Invalid for an address to which no mail can be sent. An answered invitation has none."""
    if issue.mailed and email is not None and not is_mail_address(email):
        raise Invalid.of("email", "no mail can be sent to other characters than ASCII: set sendEmail to false")
