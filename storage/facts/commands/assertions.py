"""Deciding whether artifacts may be released, one or many in one transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from domain.audit.events import Actor, AuditName, Event
from domain.errors import NotFound
from domain.facts.approvals import ApprovalOutcome
from domain.facts.assertions import NO_DEMANDS, AssertionOutcome, Assessment, Demands, assess, unknown_artifact
from domain.facts.digests import normalise_digest
from domain.facts.evaluation import Candidate, LatestResult
from domain.facts.records import VERDICT
from domain.facts.verdicts import AssertionInputs, Basis, Verdict, VerdictKind, result_to_json
from domain.tenant import Tenant
from storage.batches import Rows
from storage.database import Row, Transaction
from storage.facts.queries.approval_outcomes import outcomes_of
from storage.facts.queries.asserted import Asserted, Policies, demanding_nothing
from storage.facts.queries.latest_results import latest_results_of
from storage.facts.queries.requirements import asked_by
from storage.facts.queries.trails import flows_of_trails
from storage.rows import from_row
from storage.verdicts.commands import keep_verdicts


@dataclass(frozen=True, slots=True)
class NewAssertion:
    """A request to decide whether an artifact may be released. With `trail_id`, only the report on that trail counts.

    `flow_id` may be None if `trail_id` is given: then it is the trail's flow.
    """

    digest: str
    actor: Actor
    flow_id: UUID | None = None
    trail_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """A verdict with the assessment that it is based on."""

    verdict: Verdict
    assessment: Assessment
    flow_name: str


_FLOWS = """
SELECT f.id, f.version, v.name, v.tags, v.required_types, v.requires_approval, v.required_approver_roles, v.template
FROM flows f JOIN flow_versions v ON v.flow_id = f.id AND v.version = f.version
WHERE f.org_id = $1 AND f.id = ANY($2::uuid[]) AND f.archived_at IS NULL
"""

_ASKED = Rows({"place": "int", "flow_id": "uuid", "digest": "text", "trail_id": "uuid"})
_CANDIDATES = f"""
SELECT asked.place, found.id AS report_id, found.name, found.digest, t.id AS trail_id, t.git_repository, t.template
FROM {_ASKED.source("asked", 2)}
CROSS JOIN LATERAL (
  SELECT id, trail_id, coalesce(slot, name) AS name, digest FROM artifact_reports r
  WHERE r.org_id = $1 AND r.flow_id = asked.flow_id AND r.digest = asked.digest
    AND (asked.trail_id IS NULL OR r.trail_id = asked.trail_id)
  ORDER BY r.created_at DESC, r.id DESC LIMIT 1
) found
JOIN trails t ON t.id = found.trail_id
ORDER BY t.id FOR SHARE OF t
"""
"""FOR SHARE: assertions do not block each other, and no report can change a trail's results while they are read."""

_verdict = from_row(Verdict)


async def decide(
    tx: Transaction, tenant: Tenant, new: Sequence[NewAssertion], *, policies: Policies = demanding_nothing
) -> list[Decision]:
    """Decide assertions by the flow's current version and the newest report of each digest in the flow.

    A trail's own template replaces the flow's; `policies` says what the policies of the flow demand besides. The trails
    are locked while their latest results are read; every verdict is stored with its inputs and audited. Return the
    decisions in the order of `new`. Raises NotFound for an unknown flow, an unknown trail, a trail of another flow, and
    what is outside the tenant's scopes.
    """
    wanted = await _with_flows(tx, tenant, new)
    flows = await _flows(tx, tenant, {flow_id for flow_id, _ in wanted})
    found = await _candidates(tx, tenant, wanted)
    _check_scopes(tenant, wanted, found)
    latest = await latest_results_of(tx, {row["trail_id"] for row in found.values()}) if found else {}
    requiring = {row["trail_id"] for place, row in found.items() if flows[wanted[place][0]]["requires_approval"]}
    outcomes = await outcomes_of(tx, requiring) if requiring else {}
    asserted = {place: _asserted(flows[wanted[place][0]], row) for place, row in found.items()}
    known = _Known(latest, outcomes, await policies(tx, tenant, asserted))
    judged = [
        _judge(flows[flow_id], normalise_digest(assertion.digest), place, found.get(place), known)
        for place, (flow_id, assertion) in enumerate(wanted)
    ]
    return await _keep(tx, tenant, new, judged)


def _asserted(flow: Row, found: Row) -> Asserted:
    own = found["template"] is not None
    asked = asked_by({**flow, "template": found["template"]} if own else flow)
    candidate = Candidate(found["name"], found["digest"])
    return Asserted(found["report_id"], flow["id"], flow["version"], found["trail_id"], own, candidate, asked)


async def _with_flows(tx: Transaction, tenant: Tenant, new: Sequence[NewAssertion]) -> list[tuple[UUID, NewAssertion]]:
    trail_ids = [assertion.trail_id for assertion in new if assertion.trail_id]
    flows = await flows_of_trails(tx, tenant, trail_ids) if trail_ids else {}
    return [(_flow_of(assertion, flows), assertion) for assertion in new]


def _flow_of(assertion: NewAssertion, flows: Mapping[UUID, UUID]) -> UUID:
    flow_id = flows.get(assertion.trail_id) if assertion.trail_id else assertion.flow_id
    if flow_id is None or assertion.flow_id not in (None, flow_id):
        raise NotFound(f"There is no trail {assertion.trail_id} in this flow.")
    return flow_id


async def _flows(tx: Transaction, tenant: Tenant, flow_ids: set[UUID]) -> dict[UUID, Row]:
    flows = {row["id"]: row for row in await tx.rows(_FLOWS, tenant.org_id, list(flow_ids))}
    for missing in flow_ids - flows.keys():
        raise NotFound(f"There is no flow {missing}.")
    return flows


def _check_scopes(tenant: Tenant, wanted: Sequence[tuple[UUID, NewAssertion]], found: Mapping[int, Row]) -> None:
    """Raise NotFound for a flow outside the scopes, unless the newest report is on a trail within them.

    The report that counts is the same for all callers: scopes must not change a verdict.
    """
    for place, (flow_id, assertion) in enumerate(wanted):
        repository = found[place]["git_repository"] if place in found else None
        within_scopes = tenant.scopes is None or tenant.scopes.contain(flow_id, repository)
        if not within_scopes and assertion.trail_id is None:
            raise NotFound(f"There is no flow {flow_id}.")


async def _candidates(tx: Transaction, tenant: Tenant, wanted: Sequence[tuple[UUID, NewAssertion]]) -> dict[int, Row]:
    """Return the newest report of each assertion's artifact, by the position of the assertion."""
    asked = [
        {
            "place": place,
            "flow_id": flow_id,
            "digest": normalise_digest(assertion.digest),
            "trail_id": assertion.trail_id,
        }
        for place, (flow_id, assertion) in enumerate(wanted)
    ]
    rows = await tx.rows(_CANDIDATES, tenant.org_id, *_ASKED.arrays(asked))
    return {row["place"]: row for row in rows}


@dataclass(frozen=True, slots=True)
class _Known:
    """Latest results and decided approvals by trail, and what policies demand by the position of the assertion."""

    latest: Mapping[UUID, Sequence[LatestResult]]
    outcomes: Mapping[UUID, Sequence[ApprovalOutcome]]
    demands: Mapping[int, Demands]


@dataclass(frozen=True, slots=True)
class _Judged:
    inputs: AssertionInputs
    assessment: Assessment
    flow_name: str


def _judge(flow: Row, digest: str, place: int, found: Row | None, known: _Known) -> _Judged:
    basis = _basis(flow, found)
    asked = asked_by({**flow, "template": found["template"]} if found and basis is Basis.TRAIL_TEMPLATE else flow)
    if found is None:
        inputs = AssertionInputs(flow["id"], flow["version"], digest, basis)
        return _Judged(inputs, unknown_artifact(asked), flow["name"])
    candidate, on_trail = Candidate(found["name"], digest), known.latest[found["trail_id"]]
    demands, approvals = known.demands.get(place, NO_DEMANDS), known.outcomes.get(found["trail_id"], ())
    assessment = assess(asked, on_trail, candidate, approvals, demands.shortcomings)
    inputs = AssertionInputs(
        flow["id"],
        flow["version"],
        digest,
        basis,
        found["trail_id"],
        found["report_id"],
        candidate,
        on_trail,
        [assessment.approval.newest] if assessment.approval and assessment.approval.newest else (),
        demands.inputs,
    )
    return _Judged(inputs, assessment, flow["name"])


def _basis(flow: Row, found: Row | None) -> Basis:
    if found is not None and found["template"] is not None:
        return Basis.TRAIL_TEMPLATE
    return Basis.FLOW_TYPES if flow["template"] is None else Basis.FLOW_TEMPLATE


async def _keep(
    tx: Transaction, tenant: Tenant, new: Sequence[NewAssertion], judged: Sequence[_Judged]
) -> list[Decision]:
    rows = [_row(tx, tenant, assertion, one) for assertion, one in zip(new, judged, strict=True)]
    events = [_event(assertion, row) for assertion, row in zip(new, rows, strict=True)]
    await keep_verdicts(tx, tenant, rows, events)
    return [Decision(_verdict(row), one.assessment, one.flow_name) for row, one in zip(rows, judged, strict=True)]


def _row(tx: Transaction, tenant: Tenant, assertion: NewAssertion, judged: _Judged) -> dict[str, Any]:
    return {
        "id": tx.new_id(),
        "org_id": tenant.org_id,
        "kind": VerdictKind.ASSERT.value,
        "flow_id": judged.inputs.flow_id,
        "trail_id": judged.inputs.trail_id,
        "environment_id": None,
        "digest": judged.inputs.digest,
        "outcome": judged.assessment.outcome.value,
        "inputs": judged.inputs.to_json(),
        "result": result_to_json(judged.assessment),
        "decided_by": assertion.actor.principal_id,
        "created_at": tx.now,
    }


def _event(assertion: NewAssertion, row: Mapping[str, Any]) -> Event:
    allowed = row["outcome"] == AssertionOutcome.COMPLIANT
    payload = {
        "verdictId": str(row["id"]),
        "sha256Digest": row["digest"],
        "flowId": str(row["flow_id"]),
        "trailId": str(row["trail_id"]) if row["trail_id"] else None,
        "status": row["outcome"],
        "missingAttestationTypes": row["result"]["missingTypes"],
        "failedAttestationTypes": row["result"]["failedTypes"],
        "missingAttestationNames": row["result"]["missingNames"],
        "failedAttestationNames": row["result"]["failedNames"],
    }
    name = AuditName.GATE_ALLOWED if allowed else AuditName.GATE_BLOCKED
    return Event(name, assertion.actor, VERDICT, row, payload, trail_id=row["trail_id"], digest=row["digest"])
