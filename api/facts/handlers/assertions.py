"""Assertions and the verdicts they leave (facts.md 8)."""

from uuid import UUID

from api.facts.grouped import ASSERTIONS
from api.facts.schemas.assertions import AssertIn, AssertionOut
from api.facts.schemas.verdicts import RecomputationOut, VerdictOut, VerdictsQuery
from api.http.calls import Call, Preview, Reply
from api.http.dry_runs import DryRun, WouldCreate, created
from api.http.paging import list_headers
from storage.facts.queries import verdicts as queries


async def assert_compliance(
    call: Call, body: AssertIn, dry_run: DryRun = False
) -> AssertionOut | Preview[WouldCreate[AssertionOut]]:
    """Ask whether an artifact may go on.

    Answered with 200 either way. Judged by the flow as it is now and the newest report of the artifact in the flow; the
    verdict is kept with all it was found from, and audited.
    """
    assertion = body.assertion(call.actor)
    decision = await call.request.app[ASSERTIONS].run(call, assertion, dry_run=dry_run)
    return created(AssertionOut.of(decision, body.sha256_digest), dry_run=dry_run)


async def list_verdicts(call: Call, query: VerdictsQuery) -> Reply[list[VerdictOut]]:
    """List verdicts, oldest first.

    Of one flow and of one artifact where named.
    """
    async with call.services.database.read() as reader:
        page = await queries.list_verdicts(
            reader, call.tenant, query.window(), flow_id=query.flow_id, digest=query.sha256_digest
        )
    return Reply([VerdictOut.of(verdict) for verdict in page.items], headers=list_headers(call.request, page))


async def get_verdict(call: Call, verdict_id: UUID) -> VerdictOut:
    """Read one verdict with its inputs."""
    async with call.services.database.read() as reader:
        return VerdictOut.of(await queries.get_verdict(reader, call.tenant, verdict_id))


async def recompute_verdict(call: Call, verdict_id: UUID) -> RecomputationOut:
    """Find a verdict again from the facts it names.

    The evaluator of today, the flow version, the trail and the results of then: whatever differs is named. Nothing is
    stored.
    """
    tenant = call.tenant
    async with call.services.database.snapshot() as reader:
        verdict = await queries.get_verdict(reader, tenant, verdict_id)
        return RecomputationOut.of(verdict, await queries.recompute(reader, tenant, verdict))
