"""Writing the mails of invitations: only when they are sent, so that neither address nor link waits in the outbox."""

from uuid import UUID

from domain.identity.invitations import invitation_link, issue_data, mail_text, mail_title, token_hash, token_of
from domain.notifications.deliveries import MessageStatus
from domain.notifications.rules import Channel
from domain.notifications.triggers import Severity
from integrations.channels import ChannelTarget, Outgoing
from storage.authenticator import Purpose
from storage.identity.queries.invitations import Letter, letter_of
from storage.outbox.claims import ClaimedMessage
from storage.services import Services
from workers.notifications.prepared import Prepared, Unsendable

OUTDATED = "The invitation was answered or revoked, is expired, or was sent again."
OTHER_KEY = "The link cannot be made any more, because the master key was replaced: send the invitation again."


async def invitation_mail(services: Services, message: ClaimedMessage) -> Prepared:
    """Write the mail of one issue of an invitation. Raises Unsendable if its link does not work any more."""
    invitation_id, issue = UUID(message.payload["invitationId"]), message.payload["issue"]
    async with services.database.read() as reader:
        letter = await letter_of(reader, message.tenant, invitation_id, issue, services.clock.now())
    if letter is None:
        raise Unsendable(MessageStatus.SKIPPED, OUTDATED)
    token = _token(services, letter, issue_data(invitation_id, issue, mailed=True))
    link = invitation_link(services.settings.address, token)
    outgoing = Outgoing(
        id=message.id,
        event=message.event,
        title=mail_title(message.org_slug),
        message=mail_text(message.org_slug, letter.role, link, letter.expires_at),
        severity=Severity.INFO,
        created_at=message.created_at,
        payload=message.payload,
        is_letter=True,
    )
    return Prepared(outgoing, ChannelTarget({"to": [letter.email]}), Channel.EMAIL, hidden=letter.email)


def _token(services: Services, letter: Letter, data: bytes) -> str:
    """Make the token again, with the master key of its time."""
    codes = services.database.authenticator.macs(Purpose.INVITATION, data)
    token = next((one for one in map(token_of, codes) if token_hash(one) == letter.token_sha256), None)
    if token is None:
        raise Unsendable(MessageStatus.FAILED, OTHER_KEY)
    return token
