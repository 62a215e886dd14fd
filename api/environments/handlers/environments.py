"""The handler of new environments, and the commands that look at their policies; the routes define the rest."""

from collections.abc import Collection
from uuid import UUID

from api.environments.schemas.environments import EnvironmentIn, EnvironmentOut
from api.http.calls import Call
from api.http.dry_runs import Created, DryRun, created
from api.http.organisation import check_org_slug
from domain.audit.events import Actor
from domain.environments.environments import Environment, EnvironmentChange
from domain.tenant import Tenant
from storage.database import Transaction
from storage.environments.commands import environments as commands
from storage.environments.queries.compliance import judged_environments
from storage.environments.queries.environments import get_environment
from storage.gates.queries.environment_policies import findings_of_environments
from storage.gates.queries.policies import check_without_policies


async def create_environment(call: Call, body: EnvironmentIn, dry_run: DryRun = False) -> Created[EnvironmentOut]:
    """Create an environment: a place where artifacts run."""
    check_org_slug(call, body.org_slug)
    async with call.transaction(dry_run=dry_run) as tx:
        environment = await commands.create_environment(tx, call.tenant, body.to_command(), call.actor)
        [judged] = await judged_environments(tx, call.tenant, [environment], policies=findings_of_environments)
    return created(EnvironmentOut.of(judged, call), dry_run=dry_run)


async def update_ungoverned(
    tx: Transaction,
    tenant: Tenant,
    environment_id: UUID,
    change: EnvironmentChange,
    actor: Actor,
    *,
    expected: Collection[int] | None = None,
) -> Environment:
    """Change an environment as the command does. Raises Conflict for another name while it has policies.

    Whoever asks the gate by name would otherwise find another environment there, without them.
    """
    before = await get_environment(tx, tenant, environment_id)
    changed = await commands.update_environment(tx, tenant, environment_id, change, actor, expected=expected)
    if changed.name != before.name:
        await check_without_policies(tx, tenant, environment_id, "renamed")
    return changed


async def archive_ungoverned(
    tx: Transaction, tenant: Tenant, environment_id: UUID, actor: Actor, *, expected: Collection[int] | None = None
) -> Environment:
    """Archive an environment as the command does. Raises Conflict while it has policies."""
    archived = await commands.archive_environment(tx, tenant, environment_id, actor, expected=expected)
    await check_without_policies(tx, tenant, environment_id, "deleted")
    return archived
