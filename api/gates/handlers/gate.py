"""Handlers of the gate."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from aiohttp import web

from api.gates.grouped import GATE
from api.gates.metrics import count_decision
from api.gates.opa_evaluators import OPA_EVALUATORS
from api.gates.schemas.gate import GateIn, GateResultOut, GateResultsQuery
from api.http.calls import Call, Reply
from api.http.dry_runs import Created, DryRun, created
from api.http.idempotency import HEADER as IDEMPOTENCY_KEY
from api.http.paging import PageOut, either_reply
from domain.errors import NotFound, Unavailable
from domain.facts.verdicts import VerdictKind
from domain.gates.opa import OpaOutcome
from storage.database import JoinedDatabase
from storage.environments.queries.environments import environment_id_ever
from storage.facts.queries.verdicts import get_verdict, list_verdicts
from storage.gates.commands.gate import Decided
from storage.gates.queries.approvers import Approver
from storage.gates.queries.mending import approvers_for
from storage.gates.queries.opa_bundles import get_bundle
from storage.gates.queries.opinions import Opinions, Wanted, question_of
from storage.gates.queries.questions import Question

_OPINIONS: web.RequestKey[Opinions] = web.RequestKey("opa_opinions", dict)
"""What bundles of OPA said before the transaction of a request began."""
ATTEMPTS = 3
"""How often a question is asked: again when the policies need opinions of OPA, or when these no longer hold."""


async def collect_opinions(call: Call, *, body: GateIn, **_: Any) -> None:
    """Have bundles of OPA evaluated for a request with an Idempotency-Key, which is then one transaction."""
    if IDEMPOTENCY_KEY in call.request.headers:
        decided = await _decided(call, body.to_command(call.actor), dry_run=True)
        call.request[_OPINIONS] = decided[1]


async def _decided(call: Call, question: Question, *, dry_run: bool) -> tuple[Decided, Opinions]:
    """Decide a question, and return the opinions of OPA that it took as well.

    Bundles are evaluated between transactions. Raises Unavailable if what they are asked about keeps changing.
    """
    for _attempt in range(ATTEMPTS):
        answer = await call.request.app[GATE].run(call, question, dry_run=dry_run)
        if isinstance(answer, Decided):
            return answer, question.opinions
        if isinstance(call.services.database, JoinedDatabase):
            break
        found = {one: await _opinion(call, one) for one in answer.wanted}
        opinions = {wanted: outcome for wanted, outcome in found.items() if outcome}
        question = replace(question, opinions={**question.opinions, **opinions})
    raise Unavailable("What the policies of OPA are asked about keeps changing; try again shortly.")


async def _opinion(call: Call, wanted: Wanted) -> OpaOutcome | None:
    """Evaluate a bundle; None if what it takes is gone by now."""
    try:
        async with call.read() as reader:
            bundle = await get_bundle(reader, call.tenant.unscoped, wanted.bundle_id)
            text = await question_of(reader, call.tenant, wanted)
    except NotFound:
        return None
    return await call.request.app[OPA_EVALUATORS].decide(bundle, text)


async def evaluate_gate(call: Call, body: GateIn, dry_run: DryRun = False) -> Created[GateResultOut]:
    """Ask whether an artifact may be deployed.

    The HTTP status is 200 whatever the decision: read `allowed`. Every policy that applies has to be fulfilled: those
    attached to the environment, and those of the flows that reported the artifact. An artifact that nobody reported is
    blocked. What the allow-list of the environment lets through is allowed, whatever the policies say. The decision is
    stored with all its inputs and audited. A dry run answers the same, stores nothing, and names who can grant an
    approval that is missing.
    """
    question = replace(body.to_command(call.actor), opinions=call.request.get(_OPINIONS, {}))
    decided, _ = await _decided(call, question, dry_run=dry_run)
    sent = body.artifact_sha256 or body.artifact_digest or body.sha256_digest
    approvers: Mapping[str, Sequence[Approver]] = {}
    if not dry_run:
        count_decision(decided)
    else:
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
        place = query.environment
        environment_id = await environment_id_ever(reader, call.tenant, place) if place else None
        page = await list_verdicts(
            reader,
            call.tenant,
            query.window(descending=True),
            kind=VerdictKind.GATE,
            environment_id=environment_id,
            whole=query.counts_pages,
            **query.to_filters(),
        )
    return either_reply(call, query, page, GateResultOut)


async def get_gate_result(call: Call, gate_result_id: UUID) -> GateResultOut:
    """Get a decision of the gate."""
    async with call.read() as reader:
        verdict = await get_verdict(reader, call.tenant, gate_result_id, kind=VerdictKind.GATE)
    return GateResultOut.of(verdict, call)
