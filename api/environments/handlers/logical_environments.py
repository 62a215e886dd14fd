"""Handlers of the members and the merged snapshots of logical environments; the routes define the other operations."""

from uuid import UUID

from api.environments.schemas.logical_environments import LogicalEnvironmentOut, MergedQuery, MergedSnapshotOut
from api.http.calls import Call
from api.http.dry_runs import Created, Deleted, DryRun, created, deleted
from api.http.versions import IfMatch, expected_versions
from domain.environments.logical_environments import ArtifactGroup, MergedSnapshot
from domain.errors import Invalid
from storage.database import Reader
from storage.environments.commands import logical_environments as commands
from storage.environments.queries import logical_environments as queries
from storage.environments.queries.snapshots import MAX_ON_LOOP, instances_of
from storage.gates.queries.environment_policies import findings_of_environments
from storage.threads import in_thread_if

MAX_MERGED = 20_000
"""Artifacts, or groups of them, in one merged snapshot."""
MAX_GROUPED = 1_000_000
"""Artifacts that are summed up for one merged snapshot."""


async def add_logical_environment_member(
    call: Call, logical_environment_id: UUID, physical_env_id: UUID, dry_run: DryRun = False, if_match: IfMatch = None
) -> Created[LogicalEnvironmentOut]:
    """Add a member to a logical environment: a physical one, or another logical one.

    An environment cannot contain itself, and at most 8 logical ones may be in each other (409).
    """
    expected = expected_versions(if_match)
    async with call.transaction(dry_run=dry_run) as tx:
        made = await commands.add_member(
            tx, call.tenant, logical_environment_id, physical_env_id, call.actor, expected=expected
        )
    return created(LogicalEnvironmentOut.of(made, call), dry_run=dry_run)


async def remove_logical_environment_member(
    call: Call, logical_environment_id: UUID, physical_env_id: UUID, dry_run: DryRun = False, if_match: IfMatch = None
) -> Deleted[LogicalEnvironmentOut]:
    """Remove a member from a logical environment."""
    expected = expected_versions(if_match)
    async with call.transaction(dry_run=dry_run) as tx:
        left = await commands.remove_member(
            tx, call.tenant, logical_environment_id, physical_env_id, call.actor, expected=expected
        )
    return deleted(LogicalEnvironmentOut.of(left, call), dry_run=dry_run)


async def get_merged_snapshot(call: Call, logical_environment_id: UUID, query: MergedQuery) -> MergedSnapshotOut:
    """Get what runs in all environments of a logical one.

    It has the latest snapshot of each physical environment. `mergedArtifacts` has one row for each environment and
    artifact, `groupedArtifacts` one for each digest.
    """
    async with call.snapshot() as reader:
        snapshot = await queries.merged_snapshot(
            reader, call.tenant, logical_environment_id, policies=findings_of_environments
        )
        if query.merged and snapshot.artifacts > MAX_MERGED:
            raise _too_many("merged", MAX_MERGED, "ask for `merged=false&grouped=true`, or for the members' snapshots")
        instances = await instances_of(reader, call.tenant, snapshot.places) if query.merged else None
        groups = await _groups(reader, call, snapshot) if query.grouped else None
    many = snapshot.artifacts > MAX_ON_LOOP
    return await in_thread_if(many, MergedSnapshotOut.showing, snapshot, instances, groups)


async def _groups(reader: Reader, call: Call, snapshot: MergedSnapshot) -> list[ArtifactGroup]:
    if snapshot.artifacts > MAX_GROUPED:
        raise _too_many("grouped", MAX_GROUPED, "ask for the members' snapshots")
    found = await queries.grouped_instances(reader, call.tenant, snapshot.places, MAX_MERGED + 1)
    if len(found) > MAX_MERGED:
        raise _too_many("grouped", MAX_MERGED, "ask for the members' snapshots")
    return found


def _too_many(field: str, most: int, instead: str) -> Invalid:
    return Invalid.of(field, f"more than {most} artifacts run in these environments; {instead}")
