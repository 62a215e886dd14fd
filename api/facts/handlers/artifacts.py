"""Handlers of artifacts."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from api.facts.schemas.artifacts import ArtifactIn, ArtifactOut, ArtifactsQuery, KnownArtifact
from api.http.calls import Call, Reply
from api.http.dry_runs import Created, DryRun, created
from api.http.organisation import check_org_slug
from api.http.paging import ListQuery, list_reply
from domain.environments.compliance import Artifact
from domain.facts.artifacts import ArtifactReport
from storage.database import Reader
from storage.environments.queries.attached_policies import Artifacts, Running
from storage.environments.queries.compliance import compliance_of_digests
from storage.environments.queries.deployments import Place, places_of_digests
from storage.facts.commands import artifacts as commands
from storage.facts.queries import artifacts as queries
from storage.gates.queries.environment_policies import findings_of_environments


async def report_artifact(
    call: Call, trail_id: UUID, body: ArtifactIn, dry_run: DryRun = False
) -> Created[ArtifactOut]:
    """Report an artifact on a trail.

    An artifact is identified by trail, digest, name and tag: a repeated report returns the first one.
    """
    check_org_slug(call, body.org_slug)
    new = body.to_command(trail_id, call.actor)
    async with call.transaction(dry_run=dry_run) as tx:
        reports = await commands.record_artifacts(tx, call.tenant, [new])
    async with call.read() as reader:  # the trail is not kept locked for this
        [known] = await _known(call, reader, reports)
    return created(ArtifactOut.of(known, call), dry_run=dry_run)


async def list_trail_artifacts(call: Call, trail_id: UUID, query: ListQuery) -> Reply[list[ArtifactOut]]:
    """List the artifacts of a trail, oldest first."""
    async with call.read() as reader:
        page = await queries.list_trail_artifacts(reader, call.tenant, trail_id, query.window())
        known = page.with_items(await _known(call, reader, page.items))
    return list_reply(call, known, ArtifactOut)


async def list_artifacts(call: Call, query: ArtifactsQuery) -> Reply[list[ArtifactOut]]:
    """List the reports of an artifact by its digest, oldest first.

    The list covers all trails and flows; it is empty for an unknown digest.
    """
    async with call.read() as reader:
        page = await queries.list_artifacts(reader, call.tenant, query.sha256, query.window(), **query.to_filters())
        known = page.with_items(await _known(call, reader, page.items))
    return list_reply(call, known, ArtifactOut)


async def _known(call: Call, reader: Reader, reports: Sequence[ArtifactReport]) -> list[KnownArtifact]:
    """Add to each artifact whether it is compliant, and where it runs."""
    digests = {report.digest for report in reports}
    places = await places_of_digests(reader, call.tenant, digests)
    compliance = await compliance_of_digests(reader, call.tenant, digests, _running(places), findings_of_environments)
    return [KnownArtifact(one, places[one.digest], compliance) for one in reports]


def _running(places: Mapping[str, Sequence[Place]]) -> Running:
    artifacts: dict[UUID, set[Artifact]] = {}
    for digest, found in places.items():
        for place in found:
            artifacts.setdefault(place.environment_id, set()).add((place.name, digest))
    return {environment_id: Artifacts.of(found) for environment_id, found in artifacts.items()}
