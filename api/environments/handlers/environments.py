"""The handler of new environments; the routes define the other operations."""

from api.environments.schemas.environments import EnvironmentIn, EnvironmentOut
from api.http.calls import Call
from api.http.dry_runs import Created, DryRun, created
from api.http.organisation import check_org_slug
from storage.environments.commands import environments as commands
from storage.environments.queries.compliance import judged_environments
from storage.gates.queries.environment_policies import findings_of_environments


async def create_environment(call: Call, body: EnvironmentIn, dry_run: DryRun = False) -> Created[EnvironmentOut]:
    """Create an environment: a place where artifacts run."""
    check_org_slug(call, body.org_slug)
    async with call.transaction(dry_run=dry_run) as tx:
        environment = await commands.create_environment(tx, call.tenant, body.to_command(), call.actor)
        [judged] = await judged_environments(tx, call.tenant, [environment], policies=findings_of_environments)
    return created(EnvironmentOut.of(judged, call), dry_run=dry_run)
