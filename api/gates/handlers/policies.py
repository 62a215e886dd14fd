"""Handlers of policies, where more than one command is called."""

from api.gates.schemas.policies import (
    AttachmentIn,
    AttachmentOut,
    DeploymentPolicyIn,
    DeploymentPolicyOut,
    PolicyIn,
    PolicyOut,
)
from api.http.calls import Call
from api.http.dry_runs import Created, DryRun, created
from api.http.organisation import check_org_slug
from domain.gates.policies import NewAttachment
from storage.environments.queries.environments import only_environment
from storage.gates.commands.attachments import attach_policy
from storage.gates.commands.policies import create_policy as create


async def create_policy(call: Call, body: PolicyIn, dry_run: DryRun = False) -> Created[PolicyOut]:
    """Create a policy, to be attached to environments and flows.

    It demands nothing of artifacts until it is attached (`POST /policy-attachments`). With `flowId` it is attached to
    that flow at once. A policy file that cannot be read is refused.
    """
    check_org_slug(call, body.org_slug)
    async with call.transaction(dry_run=dry_run) as tx:
        policy = await create(tx, call.tenant, body.to_command(), call.actor)
        if body.flow_id:
            await attach_policy(tx, call.tenant, NewAttachment(policy.id, flow_id=body.flow_id), call.actor)
    return created(PolicyOut.of(policy, call), dry_run=dry_run)


async def create_deployment_policy(
    call: Call, body: DeploymentPolicyIn, dry_run: DryRun = False
) -> Created[DeploymentPolicyOut]:
    """Create a deployment policy: what artifacts of a flow need to be deployed to an environment, or to any.

    It applies at once. Several may apply to a deployment, which then has to fulfil all of them.
    """
    check_org_slug(call, body.org_slug)
    async with call.transaction(dry_run=dry_run) as tx:
        environment = await only_environment(tx, call.tenant, body.environments)
        new = body.to_policy(environment.id if environment else None)
        policy = await create(tx, call.tenant, new, call.actor)
    return created(DeploymentPolicyOut.of(policy, call), dry_run=dry_run)


async def create_policy_attachment(call: Call, body: AttachmentIn, dry_run: DryRun = False) -> Created[AttachmentOut]:
    """Attach a policy to an environment or to a flow.

    In an environment it applies to all artifacts that are deployed there; of a flow, to its artifacts wherever they
    are deployed, and to assertions.
    """
    async with call.transaction(dry_run=dry_run) as tx:
        environment = await only_environment(tx, call.tenant, body.environments)
        new = body.to_attachment(environment.id if environment else None)
        attachment = await attach_policy(tx, call.tenant, new, call.actor)
    return created(AttachmentOut.of(attachment, call), dry_run=dry_run)
