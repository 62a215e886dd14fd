"""Handlers of deployments."""

from uuid import UUID

from api.environments.schemas.deployments import DeploymentOut, DeploymentsQuery
from api.http.calls import Call, Reply
from api.http.digests import Sha256
from api.http.paging import list_reply
from storage.environments.queries import deployments as queries


async def list_environment_deployments(
    call: Call, environment_id: UUID, query: DeploymentsQuery
) -> Reply[list[DeploymentOut]]:
    """List what runs and ran in an environment, with the times of its deployment and removal, oldest first."""
    async with call.read() as reader:
        page = await queries.list_environment_deployments(
            reader, call.tenant, environment_id, query.window(), running=query.running
        )
    return list_reply(call, page, DeploymentOut)


async def list_artifact_deployments(call: Call, digest: Sha256, query: DeploymentsQuery) -> Reply[list[DeploymentOut]]:
    """List where an artifact runs and ran, by its digest, oldest first; the list of an unknown digest is empty."""
    async with call.read() as reader:
        page = await queries.list_artifact_deployments(
            reader, call.tenant, digest, query.window(), running=query.running
        )
    return list_reply(call, page, DeploymentOut)
