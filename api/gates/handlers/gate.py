"""Handlers of the gate."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from api.gates.grouped import GATE
from api.gates.schemas.gate import GateIn, GateResultOut, GateResultsQuery
from api.http.calls import Call, Reply
from api.http.dry_runs import Created, DryRun, created
from api.http.paging import PageOut, either_reply
from domain.facts.verdicts import VerdictKind
from storage.environments.queries.environments import only_environment
from storage.facts.queries.verdicts import get_verdict, list_verdicts
from storage.gates.queries.approvers import Approver
from storage.gates.queries.mending import approvers_for


async def evaluate_gate(call: Call, body: GateIn, dry_run: DryRun = False) -> Created[GateResultOut]:
    """Ask whether an artifact may be deployed.

    The HTTP status is 200 whatever the decision: read `allowed`. Every policy that applies has to be fulfilled: those
    attached to the environment, and those of the flows that reported the artifact. An artifact that nobody reported is
    blocked. What the allow-list of the environment lets through is allowed, whatever the policies say. The decision is
    stored with all its inputs and audited. A dry run answers the same, stores nothing, and
    names who can grant an approval that is missing.
    """
    decided = await call.request.app[GATE].run(call, body.to_command(call.actor), dry_run=dry_run)
    sent = body.artifact_sha256 or body.artifact_digest or body.sha256_digest
    approvers: Mapping[str, Sequence[Approver]] = {}
    if dry_run:
        async with call.read() as reader:
            reasons = decided.verdict.result["reasons"]
            approvers = await approvers_for(reader, call.tenant, decided.inputs, reasons)
    return created(GateResultOut.decided(decided, sent, approvers), dry_run=dry_run)


async def list_gate_results(
    call: Call, query: GateResultsQuery
) -> Reply[list[GateResultOut]] | Reply[PageOut[GateResultOut]]:
    """List the decisions of the gate, newest first.

    A key with scopes sees those about artifacts of one flow, within its scopes.
    """
    async with call.read() as reader:
        environment = await only_environment(reader, call.tenant, [query.environment] if query.environment else [])
        page = await list_verdicts(
            reader,
            call.tenant,
            query.window(descending=True),
            kind=VerdictKind.GATE,
            environment_id=environment.id if environment else None,
            **query.to_filters(),
        )
    return either_reply(call, query, page, GateResultOut)


async def get_gate_result(call: Call, gate_result_id: UUID) -> GateResultOut:
    """Get a decision of the gate."""
    async with call.read() as reader:
        verdict = await get_verdict(reader, call.tenant, gate_result_id, kind=VerdictKind.GATE)
    return GateResultOut.of(verdict, call)
