"""Handlers of service accounts and their keys."""

from uuid import UUID

from api.http.calls import Call, Reply
from api.http.dry_runs import Created, Deleted, DryRun, Updated, created, deleted, updated
from api.http.paging import ListQuery, list_reply
from api.http.versions import IfMatch, expected_versions
from api.identity.schemas.api_keys import ApiKeyOut, CreatedKeyOut, KeyRotationIn, KeyTermsIn
from api.identity.schemas.service_accounts import ServiceAccountChangeIn, ServiceAccountIn, ServiceAccountOut
from domain.errors import NotFound
from domain.identity.api_keys import ApiKey
from domain.identity.grants import check_key, check_role, check_successor
from domain.identity.principals import ServiceAccount
from storage.database import Reader
from storage.identity.commands import api_keys as key_commands
from storage.identity.commands import service_accounts as commands
from storage.identity.queries import api_keys as key_queries
from storage.identity.queries.principals import get_service_account, held_role


async def create_service_account(
    call: Call, body: ServiceAccountIn, dry_run: DryRun = False
) -> Created[ServiceAccountOut]:
    """Create a service account."""
    check_role(call.caller, body.role.role)
    async with call.transaction(dry_run=dry_run) as tx:
        account = await commands.create_service_account(tx, call.tenant, body.to_command(), call.actor)
    return created(ServiceAccountOut.of(account, call), dry_run=dry_run)


async def update_service_account(
    call: Call,
    service_account_id: UUID,
    body: ServiceAccountChangeIn,
    dry_run: DryRun = False,
    if_match: IfMatch = None,
) -> Updated[ServiceAccountOut]:
    """Change a service account or its role, or disable or enable it."""
    if body.role is not None:
        check_role(call.caller, body.role.role)
    async with call.transaction(dry_run=dry_run) as tx:
        account = await commands.update_service_account(
            tx, call.tenant, service_account_id, body.to_command(), call.actor, expected=expected_versions(if_match)
        )
    return updated(ServiceAccountOut.of(account, call), dry_run=dry_run)


async def create_service_account_key(
    call: Call, service_account_id: UUID, body: KeyTermsIn, dry_run: DryRun = False
) -> Created[CreatedKeyOut]:
    """Create an API key of a service account. Its text is shown only this once."""
    async with call.transaction(dry_run=dry_run) as tx:
        await held_role(tx, call.tenant, service_account_id, "service")  # which stays until the key is made
        account = await get_service_account(tx, call.tenant.unscoped, service_account_id)
        new = body.to_command(service_account_id, tx.now)
        check_key(call.caller, account.role, new.permissions, new.scopes)
        key, text = await key_commands.create_api_key(tx, call.tenant, new, call.actor)
    return created(CreatedKeyOut.made(key, text, call), dry_run=dry_run)


async def list_service_account_keys(call: Call, service_account_id: UUID, query: ListQuery) -> Reply[list[ApiKeyOut]]:
    """List the API keys of a service account, oldest first, including revoked ones."""
    async with call.read() as reader:
        await get_service_account(reader, call.tenant.unscoped, service_account_id)
        page = await key_queries.list_api_keys_of(reader, call.tenant, query.window(), owner_id=service_account_id)
    return list_reply(call, page, ApiKeyOut)


async def revoke_service_account_key(
    call: Call, service_account_id: UUID, key_id: UUID, dry_run: DryRun = False
) -> Deleted[ApiKeyOut]:
    """Revoke an API key of a service account, with immediate effect. It stays in the list."""
    async with call.transaction(dry_run=dry_run) as tx:
        await _with_key(tx, call, service_account_id, key_id)
        await key_commands.revoke_api_key(tx, call.tenant, key_id, call.actor)
        gone = await key_queries.get_api_key(tx, call.tenant, key_id)
    return deleted(ApiKeyOut.of(gone, call), dry_run=dry_run)


async def rotate_service_account_key(
    call: Call, service_account_id: UUID, key_id: UUID, body: KeyRotationIn | None = None, dry_run: DryRun = False
) -> Created[CreatedKeyOut]:
    """Replace an API key of a service account without a gap.

    The successor may do the same. The old key works until the overlap ends.
    """
    terms = body or KeyRotationIn()
    async with call.transaction(dry_run=dry_run) as tx:
        await held_role(tx, call.tenant, service_account_id, "service")
        account, old = await _with_key(tx, call, service_account_id, key_id)
        check_successor(call.caller, account.role, old)
        key, text = await key_commands.rotate_api_key(tx, call.tenant, key_id, terms.overlap, call.actor)
    return created(CreatedKeyOut.made(key, text, call), dry_run=dry_run)


async def _with_key(reader: Reader, call: Call, account_id: UUID, key_id: UUID) -> tuple[ServiceAccount, ApiKey]:
    """Return the service account and the key. Raises NotFound unless it is one of its keys."""
    account = await get_service_account(reader, call.tenant.unscoped, account_id)
    key = await key_queries.get_api_key(reader, call.tenant, key_id)
    if key.principal_id != account_id:
        raise NotFound(f"There is no API key {key_id} of this service account.")
    return account, key
