"""Handlers of snapshots, and of the difference between two."""

from functools import partial
from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from api.environments.schemas.snapshots import (
    DiffOut,
    DiffQuery,
    JudgedSnapshotOut,
    LatestQuery,
    SnapshotIn,
    SnapshotOut,
    differences,
)
from api.http.calls import Call, Header, Reply
from api.http.dry_runs import Created, DryRun, created
from api.http.paging import ListQuery, list_headers
from domain.environments.artifacts import diff
from domain.environments.snapshots import Snapshot
from storage.database import Reader
from storage.environments.commands import snapshots as commands
from storage.environments.queries import snapshots as queries
from storage.environments.queries.attached_policies import Artifacts
from storage.environments.queries.compliance import compliance_of_digests
from storage.environments.queries.snapshots import MAX_ON_LOOP
from storage.gates.queries.environment_policies import findings_of_environments
from storage.threads import in_thread_if

OnlyChanges = Annotated[bool, Header("X-Only-Changes", query="onlyChanges")]


async def record_snapshot(
    call: Call, environment_id: UUID, body: SnapshotIn, only_changes: OnlyChanges = False, dry_run: DryRun = False
) -> Created[SnapshotOut]:
    """Record what runs in an environment now.

    Each report gets the next index. With `onlyChanges`, a report of what is known to run changes only the time of the
    last report, and returns the latest snapshot with 200. Artifacts outside the environment's scope do not count.
    """
    read = partial(body.to_command, environment_id, only_changes=only_changes)
    report = await in_thread_if(len(body.artifacts) > MAX_ON_LOOP, read)
    async with call.transaction(dry_run=dry_run) as tx:
        recorded = await commands.record_snapshot(tx, call.tenant, report, call.actor)
    many = recorded.snapshot.artifacts > MAX_ON_LOOP
    shown = await in_thread_if(many, SnapshotOut.showing, recorded.snapshot, recorded.instances)
    if not recorded.is_new:
        return Reply(shown, status=HTTPStatus.OK)
    return created(shown, dry_run=dry_run)


async def list_snapshots(call: Call, environment_id: UUID, query: ListQuery) -> Reply[list[SnapshotOut]]:
    """List the snapshots of an environment with all their artifacts, the first one first.

    Without `page` and `size` the answer ends early if they have more than 20,000 artifacts; follow its `Link`.
    """
    window, whole = query.window(), query.counts_pages
    async with call.read() as reader:
        page = await queries.list_snapshots(reader, call.tenant, window, environment_id=environment_id, whole=whole)
        found = await queries.instances_of(reader, call.tenant, [_place(snapshot) for snapshot in page.items])
    many = sum(map(len, found)) > MAX_ON_LOOP
    shown = await in_thread_if(many, lambda: list(map(SnapshotOut.showing, page.items, found)))
    return Reply(shown, headers=list_headers(call.request, page))


async def get_latest_snapshot(call: Call, environment_id: UUID, query: LatestQuery) -> JudgedSnapshotOut:
    """Get the latest snapshot of an environment, now or at a time."""
    async with call.read() as reader:
        snapshot = await queries.latest_snapshot(reader, call.tenant, environment_id, at=query.at)
        return await _judged(call, reader, snapshot)


async def get_snapshot(call: Call, environment_id: UUID, index: int) -> JudgedSnapshotOut:
    """Get a snapshot of an environment by its index."""
    async with call.read() as reader:
        snapshot = await queries.get_snapshot(reader, call.tenant, environment_id, index)
        return await _judged(call, reader, snapshot)


async def _judged(call: Call, reader: Reader, snapshot: Snapshot) -> JudgedSnapshotOut:
    [instances] = await queries.instances_of(reader, call.tenant, [_place(snapshot)])
    artifacts = Artifacts.of({(artifact.name, artifact.digest) for artifact in instances})
    running = {snapshot.environment_id: artifacts}
    compliance = await compliance_of_digests(
        reader, call.tenant, set(artifacts.digests), running, findings_of_environments
    )
    many = snapshot.artifacts > MAX_ON_LOOP
    return await in_thread_if(many, JudgedSnapshotOut.judged, snapshot, instances, compliance)


async def compare_snapshots(call: Call, environment_id: UUID, query: DiffQuery) -> DiffOut:
    """Compare two snapshots of an environment, or of two environments.

    Several versions of one name may run side by side: equal digests are unchanged, the rest of each name is paired as
    updates, and what remains is added or removed.
    """
    other = query.to_environment_id or environment_id
    places = [(environment_id, query.from_), (other, query.to)]
    async with call.read() as reader:
        for place in places:
            await queries.get_snapshot(reader, call.tenant, *place)
        before, after = await queries.instances_of(reader, call.tenant, places)
    many = len(before) + len(after) > MAX_ON_LOOP
    found = await in_thread_if(many, lambda: differences(diff(before, after)))
    return DiffOut(
        environment_id=environment_id,
        to_environment_id=other,
        from_snapshot_index=query.from_,
        to_snapshot_index=query.to,
        **found,
    )


def _place(snapshot: Snapshot) -> tuple[UUID, int]:
    return snapshot.environment_id, snapshot.n
