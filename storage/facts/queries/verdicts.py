"""Reading verdicts, and recomputing them from their inputs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from domain.facts.assertions import Assessment, assess, unknown_artifact
from domain.facts.attestations import ResultStatus
from domain.facts.digests import normalise_digest
from domain.facts.evaluation import LatestResult
from domain.facts.verdicts import (
    AssertionInputs,
    Basis,
    Verdict,
    VerdictKind,
    latest_result_to_json,
    result_to_json,
    results_among,
)
from domain.tenant import Tenant
from storage.counters import NO_PARENT
from storage.database import Reader, Row
from storage.facts.queries.requirements import asked_by
from storage.facts.scoping import limits_on_trail
from storage.paging import Listing, Page, Window

_VERDICTS = Listing.plain(Verdict, "verdicts", "verdict", limits=limits_on_trail("verdicts", flow_id=True))


async def get_verdict(reader: Reader, tenant: Tenant, verdict_id: UUID) -> Verdict:
    """Return one verdict. Raises NotFound, also for another organisation's."""
    return await _VERDICTS.get(reader, tenant, verdict_id)


async def list_verdicts(
    reader: Reader,
    tenant: Tenant,
    window: Window,
    *,
    flow_id: UUID | None = None,
    digest: str | None = None,
    kind: VerdictKind | None = None,
    outcome: str | None = None,
) -> Page[Verdict]:
    """List verdicts in the direction of the window, oldest first by default; only those that meet all filters."""
    filters = {
        "flow_id = {}": flow_id,
        "digest = {}": normalise_digest(digest) if digest else None,
        "kind = {}": kind,
        "outcome = {}": outcome,
    }
    return await _VERDICTS.page(reader, tenant, window, filters=filters, counter=("verdicts", NO_PARENT))


@dataclass(frozen=True, slots=True)
class Recomputation:
    """A recomputed verdict. `differences` lists everything that changed; without any the verdict is confirmed."""

    outcome: str | None
    differences: list[str]


_VERSION = """
SELECT name, tags, required_types, requires_approval, template FROM flow_versions
WHERE org_id = $1 AND flow_id = $2 AND version = $3
"""
_TRAIL_TEMPLATE = "SELECT template FROM trails WHERE org_id = $1 AND id = $2"
_REPORT = """
SELECT coalesce(slot, name) AS name, digest, trail_id FROM artifact_reports WHERE org_id = $1 AND id = $2
"""
_LATEST = """
SELECT a.id AS attestation_id, r.n AS result_n, a.identity, nullif(a.name, '') AS name, a.type,
       coalesce(a.slot, '') AS slot, coalesce(a.digest, '') AS digest, r.status, a.observed_at
FROM unnest($2::uuid[], $3::int[]) AS seen(id, n)
JOIN attestations a ON a.id = seen.id
JOIN attestation_results r ON r.attestation_id = a.id AND r.n = seen.n
WHERE a.org_id = $1
"""


async def recompute(reader: Reader, tenant: Tenant, verdict: Verdict) -> Recomputation:
    """Recompute a verdict from the current state of the facts that it cites, with at most four statements."""
    version = await reader.row(_VERSION, tenant.org_id, verdict.flow_id, verdict.inputs["flowVersion"])
    if version is None:
        return Recomputation(None, [f"version {verdict.inputs['flowVersion']} of flow {verdict.flow_id} is gone"])
    seen = results_among(verdict.inputs)
    latest = await _latest(reader, tenant, seen)
    inputs = AssertionInputs.from_json(verdict.inputs, latest)
    differences = _result_differences(seen, latest)
    differences += await _report_differences(reader, tenant, inputs)
    if inputs.basis is Basis.TRAIL_TEMPLATE:
        trail = await reader.row(_TRAIL_TEMPLATE, tenant.org_id, inputs.trail_id)
        version = {**version, "template": trail["template"] if trail else {}}
    assessment = _assessment(version, inputs)
    differences += _answer_differences(verdict, assessment)
    return Recomputation(assessment.outcome.value, differences)


async def _latest(reader: Reader, tenant: Tenant, seen: Sequence[Mapping[str, Any]]) -> list[LatestResult]:
    rows = await reader.rows(
        _LATEST, tenant.org_id, [UUID(one["attestationId"]) for one in seen], [one["result"] for one in seen]
    )
    return [LatestResult(**{**row, "status": ResultStatus(row["status"])}) for row in rows]


def _assessment(version: Row | Mapping[str, Any], inputs: AssertionInputs) -> Assessment:
    asked = asked_by(version)
    return assess(asked, inputs.latest, inputs.candidate) if inputs.candidate else unknown_artifact(asked)


def _result_differences(seen: Sequence[Mapping[str, Any]], latest: Sequence[LatestResult]) -> list[str]:
    now = {(one["attestationId"], one["result"]): one for one in map(latest_result_to_json, latest)}
    differences = []
    for then in seen:
        found = now.get((then["attestationId"], then["result"]))
        where = f"result {then['result']} of attestation {then['attestationId']}"
        if found is None:
            differences.append(f"{where} is gone")
        elif changed := [name for name in then if found[name] != then[name]]:
            differences.append(f"{where} differs in {', '.join(changed)}")
    return differences


async def _report_differences(reader: Reader, tenant: Tenant, inputs: AssertionInputs) -> list[str]:
    if inputs.candidate is None:
        return []
    row = await reader.row(_REPORT, tenant.org_id, inputs.report_id)
    then = (inputs.candidate.name, inputs.digest, inputs.trail_id)
    if row is None:
        return [f"artifact {inputs.report_id} is gone"]
    return [] if tuple(row.values()) == then else [f"artifact {inputs.report_id} differs from what was judged"]


def _answer_differences(verdict: Verdict, assessment: Assessment) -> list[str]:
    result = result_to_json(assessment)
    differences = [
        f"{name} was {then!r} and is now {result.get(name)!r}"
        for name, then in verdict.result.items()
        if result.get(name) != then
    ]
    if assessment.outcome != verdict.outcome:
        differences.insert(0, f"the outcome was {verdict.outcome} and is now {assessment.outcome}")
    return differences
