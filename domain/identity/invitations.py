"""Invitations: a person is asked, by a link that works once, to become a member of an organisation."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from uuid import UUID

INVITATION_EVENT = "INVITATION"
"""What the message of an invitation is called among the outgoing ones."""
PREFIX = "tgi_"
PAGE = "/invitations/accept"
"""Where the link leads. The token follows as the fragment, which browsers send to nobody: it is in no log."""


class InvitationStatus(StrEnum):
    """What has become of an invitation. An expired one can be sent again."""

    OPEN = "OPEN"
    ACCEPTED = "ACCEPTED"
    REVOKED = "REVOKED"
    EXPIRED = "EXPIRED"


@dataclass(frozen=True, slots=True)
class Issue:
    """How a link is given out: for how long it works, and whether it is sent by e-mail.

    Only such a link proves that whoever uses it has the address.
    """

    lifetime: timedelta
    mailed: bool


@dataclass(frozen=True, slots=True)
class NewInvitation:
    """An invitation to make. `email` is normalised; without a `name`, the person or the address gives it."""

    email: str
    role: str
    name: str | None
    issue: Issue


@dataclass(frozen=True, slots=True)
class Invitation:
    """A stored invitation. `issue` counts its links, of which only the last one works.

    Address and name are removed when it is accepted or revoked.
    """

    id: UUID
    org_id: UUID
    email: str | None
    name: str | None
    role: str
    issue: int
    mailed: bool
    version: int
    created_by: UUID
    created_at: datetime
    updated_at: datetime
    expires_at: datetime
    accepted_at: datetime | None
    accepted_by: UUID | None
    revoked_at: datetime | None

    def status(self, now: datetime) -> InvitationStatus:
        """Return what has become of it."""
        if self.accepted_at is not None:
            return InvitationStatus.ACCEPTED
        if self.revoked_at is not None:
            return InvitationStatus.REVOKED
        return InvitationStatus.OPEN if self.expires_at > now else InvitationStatus.EXPIRED


def issue_data(invitation_id: UUID, issue: int, *, mailed: bool) -> bytes:
    """Return what the code in the token of one issue covers: a link that is shown is never one that is sent."""
    return invitation_id.bytes + issue.to_bytes(4, "big") + bytes([mailed])


def token_of(code: bytes) -> str:
    """Return the text of a token."""
    return PREFIX + code.hex()


def token_hash(token: str) -> bytes:
    """Return the form in which a token is stored."""
    return sha256(token.encode("utf-8", "surrogateescape")).digest()


def invitation_link(address: str, token: str) -> str:
    """Return the link to the page of the server at this address that accepts the invitation."""
    return f"{address}{PAGE}#{token}"


def mail_title(organisation: str) -> str:
    """Return the subject of the mail. Like its text, it contains nothing that the inviting people can choose freely."""
    return f"The organisation {organisation} invites you to Trailgate"


def mail_text(organisation: str, role: str, link: str, expires_at: datetime) -> str:
    """Return the text of the mail."""
    return (
        f"The organisation {organisation} invites you to become a member, with the role {role.upper()}.\n"
        f"\n"
        f"Open this page to accept, until {expires_at:%Y-%m-%d %H:%M} UTC:\n"
        f"\n"
        f"{link}\n"
        f"\n"
        f"The link works once, and whoever has it can use it: do not pass it on. If you do not know this\n"
        f"organisation, ignore this message; without your consent nothing happens.\n"
    )
