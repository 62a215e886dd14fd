"""Sessions: what a person who signed in presents, in a cookie or as a bearer token.

A session is an opaque random text, of which only the hash is stored, like that of an API key.
"""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

PREFIX = "tgs_"


class SignInMethod(StrEnum):
    """How a person signed in."""

    SSO = "sso"
    API_KEY = "api_key"
    INVITATION = "invitation"


@dataclass(frozen=True, slots=True)
class NewSession:
    """A session to start. `user_agent` and `address` let people tell their sessions apart.

    A session with an `api_key_id` can do what that key can, and ends with it.
    """

    principal_id: UUID
    method: SignInMethod
    user_agent: str | None = None
    address: str | None = None
    api_key_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Session:
    """A stored session, without its text. `expires_at` is the latest end; an unused session ends earlier."""

    id: UUID
    principal_id: UUID
    method: SignInMethod
    api_key_id: UUID | None
    user_agent: str | None
    address: str | None
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    last_used_at: datetime | None

    def is_active(self, now: datetime, idle: timedelta) -> bool:
        """Whether the session has neither ended nor been unused for `idle`."""
        used = max(self.last_used_at or self.created_at, self.created_at)
        return self.revoked_at is None and self.expires_at > now and used + idle > now


def random_session() -> str:
    """Generate the text of a new session."""
    return PREFIX + secrets.token_hex(32)
