"""Handlers of artifacts."""

from uuid import UUID

from api.facts.schemas.artifacts import ArtifactIn, ArtifactOut, ArtifactsQuery
from api.http.calls import Call, Reply
from api.http.dry_runs import Created, DryRun, created
from api.http.organisation import check_org_slug
from api.http.paging import ListQuery, list_reply
from storage.facts.commands import artifacts as commands
from storage.facts.queries import artifacts as queries


async def report_artifact(
    call: Call, trail_id: UUID, body: ArtifactIn, dry_run: DryRun = False
) -> Created[ArtifactOut]:
    """Report an artifact on a trail.

    An artifact is identified by trail, digest, name and tag: a repeated report returns the first one.
    """
    check_org_slug(call, body.org_slug)
    new = body.to_command(trail_id, call.actor)
    async with call.transaction(dry_run=dry_run) as tx:
        [report] = await commands.record_artifacts(tx, call.tenant, [new])
    return created(ArtifactOut.of(report, call), dry_run=dry_run)


async def list_trail_artifacts(call: Call, trail_id: UUID, query: ListQuery) -> Reply[list[ArtifactOut]]:
    """List the artifacts of a trail, oldest first."""
    async with call.read() as reader:
        page = await queries.list_trail_artifacts(reader, call.tenant, trail_id, query.window())
    return list_reply(call, page, ArtifactOut)


async def list_artifacts(call: Call, query: ArtifactsQuery) -> Reply[list[ArtifactOut]]:
    """List the reports of an artifact by its digest, oldest first.

    The list covers all trails and flows; it is empty for an unknown digest.
    """
    async with call.read() as reader:
        page = await queries.list_artifacts(reader, call.tenant, query.sha256, query.window(), **query.to_filters())
    return list_reply(call, page, ArtifactOut)
