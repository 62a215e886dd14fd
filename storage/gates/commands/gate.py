"""Deciding whether artifacts may be deployed, one or many in one transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from domain.audit.events import Actor, AuditName, Event
from domain.environments.allow_list import AllowListEntry
from domain.environments.artifacts import Running
from domain.environments.environments import Environment
from domain.facts.records import VERDICT
from domain.facts.verdicts import Verdict, VerdictKind
from domain.gates.evaluation import needed
from domain.gates.gate import MAX_AT_ONCE, GateDecision, GateOutcome, Known, Place, decide
from domain.gates.verdicts import GateInputs, result_to_json
from domain.notifications.triggers import Notice, gate_blocked
from domain.tenant import Tenant
from storage.database import Row, Transaction
from storage.environments.queries.allow_list import allowed_artifacts
from storage.gates.commands.gate_opinions import with_opinions
from storage.gates.queries.evidence import sources_of
from storage.gates.queries.opinions import Wanted
from storage.gates.queries.policies import applicable_policies
from storage.gates.queries.questions import Case, Question, cases_of
from storage.notifications.commands.notices import raise_notices
from storage.rows import from_row
from storage.threads import in_thread_if
from storage.verdicts.commands import keep_verdicts


@dataclass(frozen=True, slots=True)
class Undecided:
    """A question that needs opinions of OPA first: ask again with them. Nothing was stored."""

    wanted: Sequence[Wanted]


@dataclass(frozen=True, slots=True)
class Decided:
    """A decision with its verdict. `hidden` are the flows of which the tenant may not know what was found."""

    verdict: Verdict
    inputs: GateInputs
    decision: GateDecision
    actor: Actor
    hidden: frozenset[UUID]


_verdict = from_row(Verdict)


async def decide_gate(
    tx: Transaction, tenant: Tenant, questions: Sequence[Question], *, default: GateOutcome
) -> list[Decided | Undecided]:
    """Decide questions by the newest report of each artifact in every flow, and by the policies that apply to it.

    The trails are locked while their evidence is read; every verdict is stored with its inputs and audited, and notices
    are raised for what is blocked. `default` is the decision where no policy applies. Return the decisions in the order
    of the questions. Raises NotFound for an unknown environment, flow or trail, and for what is outside the tenant's
    scopes, and Invalid for a trail that does not have just one artifact, if none is named.
    """
    cases = await cases_of(tx, tenant, questions)
    complete = [
        await with_opinions(tx, tenant, inputs, case.reports, case.question.opinions, actor=case.question.actor)
        for case, inputs in zip(cases, await _inputs(tx, tenant, cases, default), strict=True)
    ]
    ready = [(case, one) for case, one in zip(cases, complete, strict=True) if isinstance(one, GateInputs)]
    decided = iter(await _keep(tx, tenant, [case for case, _ in ready], [inputs for _, inputs in ready]))
    return [next(decided) if isinstance(one, GateInputs) else Undecided(one) for one in complete]


async def _inputs(tx: Transaction, tenant: Tenant, cases: Sequence[Case], default: GateOutcome) -> list[GateInputs]:
    """Return what each question is decided by."""
    reports = [report for case in cases for report in case.reports]
    environment_ids = {case.environment_id for case in cases if case.environment_id}
    applicable = await applicable_policies(tx, tenant, {one.flow_id for one in reports}, environment_ids)
    policies = [applicable.to(case.flows, case.environment_id) for case in cases]
    sources = await sources_of(tx, tenant, reports, needed(policy for some in policies for policy in some))
    allowed = await _allowed(tx, tenant, cases)
    made = []
    for case, applying, entry in zip(cases, policies, allowed, strict=True):
        own = [sources[one.report_id] for one in case.reports]
        evidence = [source.evidence for source in own]
        known = Known(case.subject.digest, _place(case.environment), entry, evidence, applying, default)
        question = case.question
        made.append(GateInputs(known, own, tx.now, question.flow_id, question.trail_id, question.claimed_by))
    return made


def _place(environment: Environment | None) -> Place | None:
    if environment is None:
        return None
    return Place(environment.id, environment.version, environment.name, environment.blocks)


async def _allowed(tx: Transaction, tenant: Tenant, cases: Sequence[Case]) -> list[AllowListEntry | None]:
    """Return the entry of the environment's allow-list that lets each artifact through, if there is one.

    An artifact that was reported under several names is let through only if each of them is.
    """
    named = [[Running(name, case.subject.digest, None) for name in _names(case)] for case in cases]
    artifacts: dict[UUID, set[Running]] = {}
    for case, running in zip(cases, named, strict=True):
        if case.environment_id:
            artifacts.setdefault(case.environment_id, set()).update(running)
    entries = await allowed_artifacts(tx, tenant, artifacts, tx.now) if artifacts else {}
    found = []
    for case, running in zip(cases, named, strict=True):
        of_environment = entries.get(case.environment_id, {}) if case.environment_id else {}
        letting = [of_environment.get(one) for one in running]
        found.append(letting[0] if all(one and _lets(one, case) for one in letting) else None)
    return found


def _names(case: Case) -> list[str]:
    return list(dict.fromkeys(one.candidate.name for one in case.reports)) or [""]


def _lets(entry: AllowListEntry, case: Case) -> bool:
    """Whether an entry lets an artifact through. One that nobody reported has no name: only its digest counts."""
    return bool(case.reports) or entry.digest == case.subject.digest


async def _keep(tx: Transaction, tenant: Tenant, cases: Sequence[Case], inputs: Sequence[GateInputs]) -> list[Decided]:
    if not cases:
        return []
    long = sum(one.known.size for one in inputs) > MAX_AT_ONCE
    decisions, written = await in_thread_if(long, _decisions, inputs)
    rows = [_row(tx, tenant, *one) for one in zip(cases, written, strict=True)]
    events = [_event(case.question.actor, row) for case, row in zip(cases, rows, strict=True)]
    await keep_verdicts(tx, tenant, rows, events)
    blocked = [one for one in zip(rows, inputs, decisions, strict=True) if one[2].outcome is GateOutcome.BLOCKED]
    await raise_notices(tx, tenant, [_notice(*one) for one in blocked])
    return [
        Decided(_verdict(row), given, decision, case.question.actor, _hidden(case))
        for case, row, given, decision in zip(cases, rows, inputs, decisions, strict=True)
    ]


def _decisions(inputs: Sequence[GateInputs]) -> tuple[list[GateDecision], list[Row]]:
    """Decide, and return what is stored of each decision."""
    decisions = [decide(one.known) for one in inputs]
    return decisions, [
        {"outcome": decision.outcome.value, "inputs": one.to_json(), "result": result_to_json(one.known, decision)}
        for one, decision in zip(inputs, decisions, strict=True)
    ]


def _hidden(case: Case) -> frozenset[UUID]:
    return frozenset(one.flow_id for one in case.reports if not one.readable)


def _row(tx: Transaction, tenant: Tenant, case: Case, written: Row) -> dict[str, Any]:
    """Return the verdict as it is written and sealed.

    It names the flow and the trail only if there is no other one, whose facts not everybody may read who reads these.
    """
    only = case.reports[0] if len(case.reports) == 1 else None
    asked = None if case.reports else case.question
    return {
        "id": tx.new_id(),
        "org_id": tenant.org_id,
        "kind": VerdictKind.GATE.value,
        "flow_id": only.flow_id if only else asked and asked.flow_id,
        "trail_id": only.trail_id if only else asked and asked.trail_id,
        "environment_id": case.environment_id,
        "digest": case.subject.digest,
        **written,
        "decided_by": case.question.actor.principal_id,
        "created_at": tx.now,
    }


def _event(actor: Actor, row: Row) -> Event:
    allowed = row["outcome"] == GateOutcome.ALLOWED
    payload = {
        "verdictId": str(row["id"]),
        "sha256Digest": row["digest"],
        "environmentId": str(row["environment_id"]) if row["environment_id"] else None,
        "flowId": str(row["flow_id"]) if row["flow_id"] else None,
        "trailId": str(row["trail_id"]) if row["trail_id"] else None,
        "decision": row["outcome"],
        "reason": row["result"]["reason"],
        "policies": row["result"]["policies"],
    }
    return Event(
        AuditName.GATE_ALLOWED if allowed else AuditName.GATE_BLOCKED,
        actor,
        VERDICT,
        row,
        payload,
        trail_id=row["trail_id"],
        environment_id=row["environment_id"],
        digest=row["digest"],
    )


def _notice(row: Row, inputs: GateInputs, decision: GateDecision) -> Notice:
    evidence, place = inputs.known.evidence, inputs.known.place
    name = evidence[0].candidate.name if evidence else row["digest"]
    return gate_blocked(
        row["id"],
        row["digest"],
        name,
        decision.message,
        environment=place.name if place else None,
        flow_id=row["flow_id"],
        environment_id=row["environment_id"],
    )
