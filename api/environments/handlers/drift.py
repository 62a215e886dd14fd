"""Handlers of baselines and drift."""

from uuid import UUID

from api.environments.schemas.drift import BaselineIn, BaselineOut, DriftOut, DriftReportOut
from api.http.calls import Call, Reply
from api.http.dry_runs import Created, DryRun, created
from api.http.paging import ListQuery, list_reply
from storage.environments.commands import baselines as commands
from storage.environments.commands.drift import check_environment
from storage.environments.queries import baselines as queries
from storage.environments.queries.drift import last_report
from storage.environments.queries.drift import list_drift_reports as list_reports
from storage.environments.queries.environments import get_environment
from storage.environments.queries.snapshots import MAX_ON_LOOP, latest_of
from storage.threads import in_thread_if


async def create_baseline(
    call: Call, environment_id: UUID, body: BaselineIn, dry_run: DryRun = False
) -> Created[BaselineOut]:
    """Approve a snapshot of an environment as its baseline.

    It replaces the active baseline. From now on, everything that runs in the environment is compared with it.
    """
    async with call.transaction(dry_run=dry_run) as tx:
        baseline = await commands.create_baseline(tx, call.tenant, body.to_command(environment_id), call.actor)
    return created(BaselineOut.of(baseline, call), dry_run=dry_run)


async def get_current_baseline(call: Call, environment_id: UUID) -> BaselineOut:
    """Get the active baseline of an environment."""
    async with call.read() as reader:
        baseline = await queries.current_baseline(reader, call.tenant, environment_id)
    return BaselineOut.of(baseline, call)


async def list_baselines(call: Call, environment_id: UUID, query: ListQuery) -> Reply[list[BaselineOut]]:
    """List the baselines of an environment, the newest one first."""
    async with call.read() as reader:
        window = query.window(descending=True)
        page = await queries.list_baselines(reader, call.tenant, window, environment_id=environment_id)
    return list_reply(call, page, BaselineOut)


async def get_drift(call: Call, environment_id: UUID) -> DriftOut:
    """Get the drift of an environment from its active baseline.

    What runs is compared whenever it changes; the first request after a new baseline may have to compare and store the
    outcome. Repeated requests store nothing.
    """
    async with call.read() as reader:
        environment = await get_environment(reader, call.tenant, environment_id)
        report = await last_report(reader, call.tenant, environment_id)
        snapshot = await latest_of(reader, call.tenant, environment)
    if report is None or environment.must_be_checked(call.services.clock.now()):
        async with call.transaction() as tx:
            report = await check_environment(tx, call.tenant, environment_id, call.actor)
    return DriftOut.showing(
        report, snapshot_id=snapshot.id, snapshot_index=snapshot.n, drift_policy=environment.drift_policy
    )


async def list_drift_reports(call: Call, environment_id: UUID, query: ListQuery) -> Reply[list[DriftReportOut]]:
    """List the drift reports of an environment, the newest one first: one for each outcome unlike the one before.

    Without `page` and `size` the answer ends early if they have very many differences; follow its `Link`.
    """
    window, whole = query.window(descending=True), query.counts_pages
    async with call.read() as reader:
        page = await list_reports(reader, call.tenant, window, environment_id=environment_id, whole=whole)
    many = sum(one.report.drift.differences for one in page.items) > MAX_ON_LOOP
    return await in_thread_if(many, list_reply, call, page, DriftReportOut)
