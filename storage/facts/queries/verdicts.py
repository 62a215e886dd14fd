"""Reading verdicts, and finding them again from what they were found from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from domain.errors import NotFound
from domain.facts.assertions import Assessment, assess, unknown_artifact
from domain.facts.attestations import ResultStatus
from domain.facts.digests import normalise_digest
from domain.facts.evaluation import Head
from domain.facts.verdicts import AssertionInputs, Basis, Verdict, head_to_json, result_to_json
from storage.audit.commands import NO_PARENT
from storage.counters import total
from storage.database import Reader, Row
from storage.facts.queries.latest_results import KEY_OF
from storage.facts.queries.requirements import asked_by
from storage.paging import Listing, Page, Window, capped_count, equalities, fetch_page, with_total
from storage.tenant import Tenant

_COLUMNS = tuple(Verdict.__dataclass_fields__)
_VERDICTS = f"SELECT {', '.join(_COLUMNS)} FROM verdicts"  # noqa: S608 - names of our own
_LISTING = Listing(_VERDICTS, "created_at", "id", lambda row: Verdict(**row))


async def get_verdict(reader: Reader, tenant: Tenant, verdict_id: UUID) -> Verdict:
    """One verdict. Raises NotFound, also for another organisation's."""
    row = await reader.row(f"{_VERDICTS} WHERE org_id = $1 AND id = $2", tenant.org_id, verdict_id)
    if row is None:
        raise NotFound(f"There is no verdict {verdict_id}.")
    return Verdict(**row)


async def list_verdicts(
    reader: Reader, tenant: Tenant, window: Window, *, flow_id: UUID | None = None, digest: str | None = None
) -> Page[Verdict]:
    """Verdicts, oldest first unless the window says otherwise; of one flow and of one digest where given."""
    wanted = {"flow_id": flow_id, "digest": normalise_digest(digest) if digest else None}
    conditions, args = equalities({"org_id": tenant.org_id, **wanted})
    page = await fetch_page(reader, _LISTING, conditions, args, window)
    if flow_id is None and digest is None:
        return with_total(page, await total(reader, tenant, "verdicts", NO_PARENT))
    count, capped = await capped_count(reader, "verdicts", conditions, args)
    return with_total(page, count, capped=capped)


@dataclass(frozen=True, slots=True)
class Recomputation:
    """A verdict found anew. `differences` names everything that is not as it was; without any it is confirmed."""

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
_HEADS = f"""
SELECT a.id AS attestation_id, r.n AS result_n, {KEY_OF} AS key, a.type,
       coalesce(a.slot, '') AS slot, coalesce(a.digest, '') AS digest, r.status, a.observed_at
FROM unnest($2::uuid[], $3::int[]) AS seen(id, n)
JOIN attestations a ON a.id = seen.id
JOIN attestation_results r ON r.attestation_id = a.id AND r.n = seen.n
WHERE a.org_id = $1
"""  # noqa: S608 - SQL of our own


async def recompute(reader: Reader, tenant: Tenant, verdict: Verdict) -> Recomputation:
    """Find a verdict again from the facts it names as they stand now; four statements at most."""
    version = await reader.row(_VERSION, tenant.org_id, verdict.flow_id, verdict.inputs["flowVersion"])
    if version is None:
        return Recomputation(None, [f"version {verdict.inputs['flowVersion']} of flow {verdict.flow_id} is gone"])
    heads = await _heads(reader, tenant, verdict.inputs["heads"])
    inputs = AssertionInputs.from_json(verdict.inputs, heads)
    differences = _head_differences(verdict.inputs["heads"], heads)
    differences += await _report_differences(reader, tenant, inputs)
    if inputs.basis is Basis.TRAIL_TEMPLATE:
        trail = await reader.row(_TRAIL_TEMPLATE, tenant.org_id, inputs.trail_id)
        version = {**version, "template": trail["template"] if trail else {}}
    assessment = _assessment(version, inputs)
    differences += _answer_differences(verdict, assessment)
    return Recomputation(assessment.outcome.value, differences)


async def _heads(reader: Reader, tenant: Tenant, seen: Sequence[Mapping[str, Any]]) -> list[Head]:
    rows = await reader.rows(
        _HEADS, tenant.org_id, [UUID(one["attestationId"]) for one in seen], [one["result"] for one in seen]
    )
    return [Head(**{**row, "status": ResultStatus(row["status"])}) for row in rows]


def _assessment(version: Row | Mapping[str, Any], inputs: AssertionInputs) -> Assessment:
    asked = asked_by(version)
    return assess(asked, inputs.heads, inputs.candidate) if inputs.candidate else unknown_artifact(asked)


def _head_differences(seen: Sequence[Mapping[str, Any]], heads: Sequence[Head]) -> list[str]:
    now = {(one["attestationId"], one["result"]): one for one in map(head_to_json, heads)}
    differences = []
    for then in seen:
        found = now.get((then["attestationId"], then["result"]))
        where = f"result {then['result']} of attestation {then['attestationId']}"
        if found is None:
            differences.append(f"{where} is gone")
        elif found != then:
            changed = ", ".join(name for name in then if found[name] != then[name])
            differences.append(f"{where} differs in {changed}")
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
        f"{name} was {then!r} and is found to be {result.get(name)!r}"
        for name, then in verdict.result.items()
        if result.get(name) != then
    ]
    if assessment.outcome != verdict.outcome:
        differences.insert(0, f"the outcome was {verdict.outcome} and is found to be {assessment.outcome}")
    return differences
