"""Handlers of assertions and verdicts."""

from uuid import UUID

from api.facts.grouped import ASSERTIONS
from api.facts.schemas.assertions import AssertIn, AssertionOut
from api.facts.schemas.verdicts import RecomputationOut, VerdictOut, VerdictsQuery
from api.http.calls import Call, Reply
from api.http.dry_runs import Created, DryRun, created
from api.http.paging import list_reply
from domain.facts.verdicts import VerdictKind
from storage.facts.queries import verdicts as queries
from storage.gates.queries.recomputation import recompute_assertion, recompute_gate


async def assert_compliance(call: Call, body: AssertIn, dry_run: DryRun = False) -> Created[AssertionOut]:
    """Ask whether an artifact is compliant.

    The HTTP status is 200 whatever the verdict. The verdict is based on the current version of the flow and the latest
    report of the artifact in the flow. It is stored with all its inputs and audited.
    """
    decision = await call.request.app[ASSERTIONS].run(call, body.to_command(call.actor), dry_run=dry_run)
    return created(AssertionOut.decided(decision, body.sha256_digest, call), dry_run=dry_run)


async def list_verdicts(call: Call, query: VerdictsQuery) -> Reply[list[VerdictOut]]:
    """List the verdicts, oldest first.

    The list can be filtered by flow, artifact, kind and outcome. Verdicts that looked at very much come a few at a
    time.
    """
    async with call.read() as reader:
        page = await queries.list_verdicts(
            reader, call.tenant, query.window(), whole=query.counts_pages, **query.to_filters()
        )
    return list_reply(call, page, VerdictOut)


async def get_verdict(call: Call, verdict_id: UUID) -> VerdictOut:
    """Get a verdict with its inputs."""
    async with call.read() as reader:
        return VerdictOut.of(await queries.get_verdict(reader, call.tenant, verdict_id), call)


async def recompute_verdict(call: Call, verdict_id: UUID) -> RecomputationOut:
    """Recompute a verdict from its inputs.

    The current rules are applied to the flow version, the trail and the results on which the verdict was based. The
    response lists all differences. Nothing is stored.
    """
    async with call.snapshot() as reader:
        verdict = await queries.get_verdict(reader, call.tenant, verdict_id)
        recompute = recompute_gate if verdict.kind == VerdictKind.GATE else recompute_assertion
        return RecomputationOut.compared(verdict, await recompute(reader, call.tenant, verdict))
