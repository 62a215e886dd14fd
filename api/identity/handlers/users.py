"""Handlers of users."""

from uuid import UUID

from api.http.calls import Call
from api.http.dry_runs import Deleted, DryRun, Updated, deleted, updated
from api.identity.schemas.users import UserChangeIn, UserOut
from storage.identity.commands import users as commands


async def update_user(call: Call, user_id: UUID, body: UserChangeIn, dry_run: DryRun = False) -> Updated[UserOut]:
    """Change a user, or disable or enable the account."""
    async with call.transaction(dry_run=dry_run) as tx:
        user = await commands.update_user(tx, call.tenant, user_id, body.to_command(), call.actor)
    return updated(UserOut.of(user, call), dry_run=dry_run)


async def delete_user(call: Call, user_id: UUID, dry_run: DryRun = False) -> Deleted[UserOut]:
    """Delete a user.

    Memberships and keys end at once, in every organisation. What the user did stays in the audit.
    """
    async with call.transaction(dry_run=dry_run) as tx:
        gone = await commands.delete_user(tx, call.tenant, user_id, call.actor)
    return deleted(UserOut.of(gone, call), dry_run=dry_run)
