"""Reading invitations."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from domain.errors import Denial, NotFound
from domain.identity.invitations import Invitation, InvitationStatus, token_hash
from domain.tenant import Tenant
from storage.database import Reader
from storage.paging import Listing, Page, Window
from storage.rows import columns, from_row

invitation_of = from_row(Invitation)

_INVITATIONS = Listing.plain(Invitation, "invitations", "invitation")
no_such_invitation = _INVITATIONS.missing
"""Makes the error for an invitation that does not exist."""

UNANSWERED = "accepted_at IS NULL AND revoked_at IS NULL"
_IN_STATUS: Mapping[InvitationStatus, str] = {
    InvitationStatus.OPEN: f"{UNANSWERED} AND expires_at > {{}}",
    InvitationStatus.EXPIRED: f"{UNANSWERED} AND expires_at <= {{}}",
    InvitationStatus.ACCEPTED: "accepted_at IS NOT NULL",
    InvitationStatus.REVOKED: "revoked_at IS NOT NULL",
}


async def get_invitation(reader: Reader, tenant: Tenant, invitation_id: UUID) -> Invitation:
    """Return one invitation, also an answered one. Raises NotFound."""
    return await _INVITATIONS.get(reader, tenant, invitation_id)


async def list_invitations(
    reader: Reader, tenant: Tenant, window: Window, now: datetime, status: InvitationStatus | None
) -> Page[Invitation]:
    """List the invitations, oldest first: all, or those that have this status now."""
    return await _INVITATIONS.page(reader, tenant, window, filters={_IN_STATUS[status]: now} if status else {})


_IS_MEMBER = """
SELECT EXISTS (
  SELECT FROM principals p JOIN memberships m ON m.principal_id = p.id
  WHERE p.email = $2 AND p.archived_at IS NULL AND m.org_id = $1 AND m.archived_at IS NULL
)
"""


async def is_member(reader: Reader, tenant: Tenant, email: str) -> bool:
    """Return whether the person with an address in normal form is a member."""
    return bool(await reader.value(_IS_MEMBER, tenant.org_id, email))


_BY_TOKEN = f"""
SELECT {columns(Invitation, prefix="i.")}, o.slug FROM invitations i JOIN organisations o ON o.id = i.org_id
WHERE i.token_sha256 = $1 AND {UNANSWERED} AND i.expires_at > $2 AND o.archived_at IS NULL
"""
UNUSABLE = "This invitation is not valid: it is unknown, expired, revoked, replaced by a newer one, or was accepted."


def unusable_token() -> NotFound:
    """Make the error for a token that does not open an invitation, whatever the reason."""
    return NotFound(UNUSABLE, denial=Denial.INVALID_CREDENTIAL)


async def invitation_by_token(reader: Reader, token: str, now: datetime) -> tuple[Tenant, Invitation]:
    """Return the open invitation of a token, of whatever organisation. Raises NotFound."""
    row = await reader.row(_BY_TOKEN, token_hash(token), now)
    if row is None:
        raise unusable_token()
    return Tenant(row["org_id"], row["slug"]), invitation_of(row)


@dataclass(frozen=True, slots=True)
class Letter:
    """What the mail of an invitation is made of."""

    email: str
    role: str
    expires_at: datetime
    token_sha256: bytes


_letter = from_row(Letter)
_LETTER = f"""
SELECT {columns(Letter)} FROM invitations
WHERE org_id = $1 AND id = $2 AND issue = $3 AND mailed AND {UNANSWERED} AND expires_at > $4
"""


async def letter_of(reader: Reader, tenant: Tenant, invitation_id: UUID, issue: int, now: datetime) -> Letter | None:
    """Return what to send for one issue of an invitation; None if it is answered, expired or replaced by another."""
    row = await reader.row(_LETTER, tenant.org_id, invitation_id, issue, now)
    return _letter(row) if row else None
