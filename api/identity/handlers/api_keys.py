"""Handlers of API keys. Everybody manages their own keys; those of others need the permission to manage identities."""

from uuid import UUID

from api.http.calls import Call, Reply
from api.http.dry_runs import Created, Deleted, DryRun, created, deleted
from api.http.paging import ListQuery, list_reply
from api.identity.schemas.api_keys import ApiKeyIn, ApiKeyOut, CreatedKeyOut, KeyRotationIn
from domain.errors import Forbidden, NotFound
from domain.identity.api_keys import ApiKey
from domain.identity.grants import check_key, check_successor
from domain.identity.permissions import Permission
from storage.database import Reader
from storage.identity.commands import api_keys as commands
from storage.identity.queries import api_keys as queries
from storage.identity.queries.principals import held_role


async def create_api_key(call: Call, body: ApiKeyIn, dry_run: DryRun = False) -> Created[CreatedKeyOut]:
    """Create an API key for yourself or, as an administrator, for another member or a service account.

    Its text is shown only this once. A key never exceeds its owner, nor the credential that creates it.
    """
    _check_owner(call, body.owner_id)
    async with call.transaction(dry_run=dry_run) as tx:
        role = await held_role(tx, call.tenant, body.owner_id, body.owner_type.kind)
        if role is None:
            raise NotFound(f"There is no {body.owner_type.lower().replace('_', ' ')} {body.owner_id}.")
        if body.break_glass:
            _check_break_glass(call, role)
        new = body.to_command(body.owner_id, tx.now)
        check_key(call.caller, role, new.permissions, new.scopes)
        key, text = await commands.create_api_key(tx, call.tenant, new, call.actor)
    return created(CreatedKeyOut.made(key, text, call), dry_run=dry_run)


async def list_owner_api_keys(call: Call, owner_id: UUID, query: ListQuery) -> Reply[list[ApiKeyOut]]:
    """List the API keys of an owner, oldest first, including revoked ones.

    The list of an unknown owner is empty.
    """
    _check_owner(call, owner_id)
    async with call.read() as reader:
        page = await queries.list_api_keys_of(reader, call.tenant, query.window(), owner_id=owner_id)
    return list_reply(call, page, ApiKeyOut)


async def revoke_api_key(call: Call, api_key_id: UUID, dry_run: DryRun = False) -> Deleted[ApiKeyOut]:
    """Revoke an API key, with immediate effect. It stays in the list; revoking it again changes nothing."""
    async with call.transaction(dry_run=dry_run) as tx:
        gone = await _own_key(tx, call, api_key_id)
        await commands.revoke_api_key(tx, call.tenant, api_key_id, call.actor)
    return deleted(ApiKeyOut.of(gone, call), dry_run=dry_run)


async def rotate_api_key(
    call: Call, api_key_id: UUID, body: KeyRotationIn | None = None, dry_run: DryRun = False
) -> Created[CreatedKeyOut]:
    """Replace an API key without a gap.

    The successor may do the same, for as long as the old key was made for. The old key works until the overlap ends.
    """
    terms = body or KeyRotationIn()
    async with call.transaction(dry_run=dry_run) as tx:
        old = await _own_key(tx, call, api_key_id)
        role = await held_role(tx, call.tenant, old.principal_id, old.owner_kind)
        if role is None:
            raise NotFound(f"There is no API key {api_key_id}.")
        check_successor(call.caller, role, old)
        if old.break_glass:
            _check_break_glass(call, role)
        key, text = await commands.rotate_api_key(tx, call.tenant, api_key_id, terms.overlap, call.actor)
    return created(CreatedKeyOut.made(key, text, call), dry_run=dry_run)


def _check_break_glass(call: Call, role: str) -> None:
    if role != "admin" or not call.caller.may(Permission.IDENTITY_MANAGE):
        raise Forbidden("An administrator makes break-glass keys, for administrators only.")


def _check_owner(call: Call, owner_id: UUID) -> None:
    caller = call.caller
    if owner_id != caller.id and not caller.may(Permission.IDENTITY_MANAGE):
        raise NotFound(f"There is no owner {owner_id} whose API keys you may manage.")


async def _own_key(reader: Reader, call: Call, key_id: UUID) -> ApiKey:
    """Return a key that the caller may manage. Raises NotFound for another's, as for one that does not exist."""
    key = await queries.get_api_key(reader, call.tenant, key_id)
    if key.principal_id != call.caller.id and not call.caller.may(Permission.IDENTITY_MANAGE):
        raise NotFound(f"There is no API key {key_id}.")
    return key
