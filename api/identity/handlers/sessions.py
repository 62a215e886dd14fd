"""Handlers of sessions: how people stay signed in."""

# ruff: noqa: ARG001 - authentication reads the organisation in the path: it becomes `call.tenant`

from dataclasses import replace
from uuid import UUID

from aiohttp import hdrs

from api.http.calls import Call, Preview, Reply
from api.http.dry_runs import Created, Deleted, DryRun, WouldDelete, created, deleted
from api.http.paging import ListQuery, list_reply
from api.http.reading import clean_text
from api.http.transport.addresses import client_address
from api.identity.cookies import no_session_cookie, session_cookie
from api.identity.schemas.sessions import SessionOut, StartedSessionOut
from api.identity.schemas.users import MemberOut
from domain.errors import Conflict, NotFound
from domain.identity.permissions import Permission
from domain.identity.sessions import NewSession, Session, SignInMethod
from storage.database import Transaction
from storage.identity.commands import sessions as commands
from storage.identity.queries import sessions as queries
from storage.identity.queries.api_keys import get_api_key
from storage.identity.queries.principals import get_member

MAX_USER_AGENT = 255


async def start_session(call: Call, dry_run: DryRun = False) -> Created[StartedSessionOut]:
    """Sign in with an API key: start a session that can do what the key can, and ends with it.

    The answer sets a cookie. For pages in a browser; a program sends its key with each request instead.
    """
    caller = call.caller
    if caller.credential_kind != "api_key" or caller.credential_id is None or caller.kind != "user":
        raise Conflict("Sign in with the API key of a person.", "state")
    async with call.transaction(dry_run=dry_run) as tx:
        key = await get_api_key(tx, call.tenant, caller.credential_id)  # a key of another organisation is unknown here
        new = NewSession(caller.id, SignInMethod.API_KEY, api_key_id=key.id)
        reply = await _started(call, tx, new)
    return created(reply.body, dry_run=True) if dry_run else reply


async def list_sessions(call: Call, query: ListQuery) -> Reply[list[SessionOut]]:
    """List your sessions in this organisation, oldest first, including ended ones."""
    return await _sessions_of(call, call.caller.id, query)


async def list_member_sessions(
    call: Call, organisation: str, user_id: UUID, query: ListQuery
) -> Reply[list[SessionOut]]:
    """List the sessions of a member, oldest first, including ended ones."""
    return await _sessions_of(call, user_id, query)


async def revoke_session(call: Call, session_id: UUID, dry_run: DryRun = False) -> Deleted[SessionOut]:
    """End a session, with immediate effect: one of yours or, as an administrator, a member's.

    It stays in the list; ending it again changes nothing.
    """
    async with call.transaction(dry_run=dry_run) as tx:
        gone = await queries.get_session(tx, call.tenant, session_id)
        if gone.principal_id != call.caller.id and not call.caller.may(Permission.IDENTITY_MANAGE):
            raise NotFound(f"There is no session {session_id}.")
        await commands.revoke_session(tx, call.tenant, session_id, call.actor)
    return deleted(SessionOut.of(gone, call), dry_run=dry_run)


async def revoke_member_sessions(
    call: Call, organisation: str, user_id: UUID, dry_run: DryRun = False
) -> Deleted[MemberOut]:
    """End all sessions of a member, with immediate effect."""
    async with call.transaction(dry_run=dry_run) as tx:
        member = await get_member(tx, call.tenant, user_id)
        await commands.revoke_sessions_of(tx, call.tenant, user_id, call.actor)
    return deleted(MemberOut.of(member, call), dry_run=dry_run)


async def sign_out(call: Call, dry_run: DryRun = False) -> Reply[None] | Preview[WouldDelete[SessionOut]]:
    """Sign out: end the session that sends this request, and remove its cookie."""
    caller = call.caller
    if caller.credential_kind != "session" or caller.credential_id is None:
        raise Conflict("This request was not sent with a session.", "state")
    async with call.transaction(dry_run=dry_run) as tx:
        gone = await queries.get_session(tx, call.tenant, caller.credential_id)
        await commands.revoke_session(tx, call.tenant, caller.credential_id, call.actor)
    preview = deleted(SessionOut.of(gone, call), dry_run=dry_run)
    return preview or Reply(None, headers=no_session_cookie(call.services.settings))


async def _started(call: Call, tx: Transaction, new: NewSession) -> Reply[StartedSessionOut]:
    session, token = await new_session(call, tx, new)
    cookie = session_cookie(call.services.settings, token)
    return Reply(StartedSessionOut.started(session, token, call), headers=cookie)


async def new_session(call: Call, tx: Transaction, new: NewSession) -> tuple[Session, str]:
    """Start a session for a person who proved who it is; return it with its text."""
    new = replace(new, user_agent=_user_agent(call), address=client_address(call.request) or None)
    return await commands.start_session(tx, call.tenant, new, call.services.settings.session_lifetime, call.actor)


def _user_agent(call: Call) -> str | None:
    text = clean_text(hdrs.USER_AGENT, call.request.headers.get(hdrs.USER_AGENT, ""))
    return text[:MAX_USER_AGENT] or None


async def _sessions_of(call: Call, user_id: UUID, query: ListQuery) -> Reply[list[SessionOut]]:
    async with call.read() as reader:
        page = await queries.list_sessions_of(reader, call.tenant, query.window(), user_id=user_id)
    return list_reply(call, page, SessionOut)
