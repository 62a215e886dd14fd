"""Response models of sessions."""

from typing import Self
from uuid import UUID

from api.http.calls import Call
from api.http.wire import Instant, WireModel
from domain.identity.sessions import Session


class SessionOut(WireModel):
    """A session of a person who signed in. `method` says how: by SSO, API key or invitation.

    It ends at `expiresAt`, or earlier when it is not used for a while. `isCurrent`: this request was sent with it.
    """

    id: UUID
    user_id: UUID
    method: str
    user_agent: str | None
    address: str | None
    is_active: bool
    is_current: bool
    created_at: Instant
    expires_at: Instant
    last_used_at: Instant | None

    @classmethod
    def of(cls, record: Session, call: Call) -> Self:
        """Return a session."""
        return cls.filled(record, **_further(record, call))


class StartedSessionOut(SessionOut):
    """A session that was just started, with its text: the only answer that contains it.

    A browser gets it as a cookie; other clients send it as `Authorization: Bearer`.
    """

    token: str

    @classmethod
    def started(cls, record: Session, token: str, call: Call) -> Self:
        """Return a session with its text."""
        return cls.filled(record, token=token, **_further(record, call))


def _further(record: Session, call: Call) -> dict[str, object]:
    services = call.services
    return {
        "user_id": record.principal_id,
        "method": record.method.name,
        "is_active": record.is_active(services.clock.now(), services.settings.session_idle),
        "is_current": record.id == call.caller.credential_id,
    }
