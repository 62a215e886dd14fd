"""Reading the sessions of people who signed in."""

from uuid import UUID

from domain.identity.sessions import Session, SignInMethod
from domain.tenant import Tenant
from storage.database import Reader
from storage.paging import Listing, Page, Window
from storage.rows import columns, from_row

_SESSIONS = Listing(
    "session",
    f"{columns(Session, prefix='s.', but={'last_used_at'})}, u.last_used_at",
    "sessions s LEFT JOIN session_uses u ON u.session_id = s.id",
    from_row(Session, method=SignInMethod),
    alias="s.",
    counted="sessions s",
)


async def get_session(reader: Reader, tenant: Tenant, session_id: UUID) -> Session:
    """Return one session, also an ended one. Raises NotFound."""
    return await _SESSIONS.get(reader, tenant.unscoped, session_id)


async def list_sessions_of(reader: Reader, tenant: Tenant, window: Window, *, user_id: UUID) -> Page[Session]:
    """List the sessions of a person in the organisation, oldest first, including ended ones."""
    return await _SESSIONS.page(reader, tenant.unscoped, window, within={"s.principal_id = {}": user_id})
