"""Handlers of users."""

from uuid import UUID

from api.http.calls import Call
from api.http.dry_runs import Deleted, DryRun, Updated, deleted, updated
from api.identity.schemas.users import PersonalDataOut, UserChangeIn, UserOut
from storage.identity.commands import users as commands
from storage.identity.commands.erasure import erase_person


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


async def erase_user(call: Call, user_id: UUID, dry_run: DryRun = False) -> Deleted[PersonalDataOut]:
    """Erase the personal data of a user, for ever.

    A user who is not deleted yet is deleted. Name, e-mail address, GitHub id and the labels of the user's keys are
    removed, from the audit and the ledger as well, which stay provable. What the user did stays in the audit, under the
    id. A dry run shows what would be removed.
    """
    async with call.transaction(dry_run=dry_run) as tx:
        erased = await erase_person(tx, call.tenant, user_id, call.actor)
    return deleted(PersonalDataOut.of(erased, call), dry_run=dry_run)
