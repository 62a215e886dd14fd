"""Reading the facts that a stored verdict cites, to find out whether they are what they were, and what follows now."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

from domain.facts.attestations import ResultStatus
from domain.facts.evaluation import Asked, LatestResult
from domain.facts.verdicts import Verdict, latest_result_to_json
from domain.tenant import Tenant
from storage.batches import Rows
from storage.database import Reader, Row
from storage.facts.queries.requirements import ASKED_IN_TEXTS, asked_in_texts


@dataclass(frozen=True, slots=True)
class Recomputation:
    """A recomputed verdict. `differences` lists everything that changed; without any the verdict is confirmed."""

    outcome: str | None
    differences: list[str]


def recomputed(verdict: Verdict, outcome: str, result: Mapping[str, Any], differences: Iterable[str]) -> Recomputation:
    """Compare what follows now with a stored verdict; `differences` are those of the facts that it cites."""
    changed = [f"the outcome was {verdict.outcome} and is now {outcome}"] if outcome != verdict.outcome else []
    changed += [
        f"{name} was {then!r} and is now {result.get(name)!r}"
        for name, then in verdict.result.items()
        if result.get(name) != then
    ]
    return Recomputation(outcome, [*differences, *changed])


_LATEST = """
SELECT a.id AS attestation_id, r.n AS result_n, a.identity, nullif(a.name, '') AS name, a.type,
       coalesce(a.slot, '') AS slot, coalesce(a.digest, '') AS digest, r.status, a.observed_at
FROM unnest($2::uuid[], $3::int[]) AS seen(id, n)
JOIN attestations a ON a.id = seen.id
JOIN attestation_results r ON r.attestation_id = a.id AND r.n = seen.n
WHERE a.org_id = $1
"""


async def cited_results(reader: Reader, tenant: Tenant, seen: Sequence[Mapping[str, Any]]) -> list[LatestResult]:
    """Return the results that a verdict cites, which are given in their stored form."""
    rows = await reader.rows(
        _LATEST, tenant.org_id, [UUID(one["attestationId"]) for one in seen], [one["result"] for one in seen]
    )
    return [LatestResult(**{**row, "status": ResultStatus(row["status"])}) for row in rows]


def result_differences(seen: Sequence[Mapping[str, Any]], latest: Sequence[LatestResult]) -> list[str]:
    """Return what differs in cited results."""
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


class Cited(NamedTuple):
    """A version of a flow; with `template_of` the template of that trail replaces the flow's."""

    flow_id: UUID
    version: int
    template_of: UUID | None


_CITED = Rows({"flow_id": "uuid", "version": "int", "template_of": "uuid"})
_REQUIREMENTS = f"""
SELECT v.flow_id, v.version, cited.template_of, {ASKED_IN_TEXTS}
FROM {_CITED.source("cited", 2)}
JOIN flow_versions v ON v.flow_id = cited.flow_id AND v.version = cited.version AND v.org_id = $1
LEFT JOIN trails t ON t.id = cited.template_of AND t.org_id = $1
"""


async def cited_requirements(reader: Reader, tenant: Tenant, cited: Collection[Cited]) -> Mapping[Cited, Asked]:
    """Return what versions of flows require; nothing of one that is gone."""
    rows = await reader.rows(_REQUIREMENTS, tenant.org_id, *_CITED.arrays([one._asdict() for one in cited]))
    return {Cited(row["flow_id"], row["version"], row["template_of"]): asked_in_texts(row) for row in rows}


_REPORTS = """
SELECT id, trail_id, coalesce(slot, name) AS name, digest FROM artifact_reports
WHERE org_id = $1 AND id = ANY($2::uuid[])
"""


async def cited_reports(reader: Reader, tenant: Tenant, report_ids: Sequence[UUID]) -> Mapping[UUID, Row]:
    """Return reports of artifacts, with trail, name and digest, by their ids."""
    return {row["id"]: row for row in await reader.rows(_REPORTS, tenant.org_id, report_ids)}
