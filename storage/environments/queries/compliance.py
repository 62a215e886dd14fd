"""Reading the compliance of what runs: judged when it is asked for, so that it is never out of date."""

from bisect import bisect_right
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from domain.environments.compliance import (
    ArtifactCompliance,
    ComplianceState,
    EnvironmentCompliance,
    Judgement,
    ReasonCode,
    artifact_compliance,
    environment_compliance,
    judge,
)
from domain.environments.deployments import Deployment
from domain.environments.environments import Environment
from domain.tenant import Tenant
from storage.database import Reader, Row
from storage.environments.queries.environments import get_environment
from storage.facts.queries.newest_reports import MAX_ON_LOOP, NewestReport, newest_reports
from storage.paging import Cursor, Page, Window
from storage.rows import columns, from_row
from storage.threads import in_thread_if

MAX_RUNNING = 100_000
"""Running artifacts of all environments that are judged at once."""
MAX_JUDGED = 10_000
"""Different digests among them; one environment never has more."""


async def compliance_of_digests(
    reader: Reader, tenant: Tenant, digests: Collection[str]
) -> Mapping[str, ArtifactCompliance]:
    """Judge digests by the newest report in every flow, with three or four statements, however many there are.

    The state does not depend on the tenant's scopes; a flow outside them is not named, nor what it found.
    """
    reports = await newest_reports(reader, tenant, digests)
    return await in_thread_if(len(digests) > MAX_ON_LOOP, _judge, digests, reports)


def _judge(digests: Collection[str], reports: Mapping[str, Sequence[NewestReport]]) -> Mapping[str, ArtifactCompliance]:
    return {one: artifact_compliance(one, list(map(_judged, reports.get(one, ())))) for one in digests}


def _judged(report: NewestReport) -> Judgement:
    judgement = judge(
        report.asked,
        report.latest,
        report.candidate,
        report.outcomes,
        flow_id=report.flow_id,
        trail_id=report.trail_id,
    )
    return judgement if report.readable else judgement.out_of_scope()


_RUNNING = """
SELECT place, array_agg(digest) AS digests
FROM (
  SELECT wanted.place, now.digest
  FROM unnest($2::uuid[]) WITH ORDINALITY AS wanted(environment_id, place)
  CROSS JOIN LATERAL (
    SELECT org_id, digest FROM deployments
    WHERE environment_id = wanted.environment_id AND removed_n IS NULL OFFSET 0
  ) now
  WHERE now.org_id = $1
  ORDER BY wanted.place LIMIT $3
) found
GROUP BY place ORDER BY place
"""


async def compliance_of_environments(
    reader: Reader, tenant: Tenant, environment_ids: Sequence[UUID]
) -> Mapping[UUID, EnvironmentCompliance]:
    """Judge what runs in environments within the tenant's scopes, with five statements at most.

    One environment is always judged, and as many of the others, in their order, as MAX_RUNNING and MAX_JUDGED allow;
    the rest is left out.
    """
    rows = await reader.rows(_RUNNING, tenant.org_id, environment_ids, MAX_RUNNING + 1)
    running = _complete(environment_ids, rows)
    many = len(rows) > 1
    chosen, digests = await in_thread_if(many, _within_limit, running)
    judged = await compliance_of_digests(reader, tenant, digests)
    return await in_thread_if(many, _summed_up, chosen, judged)


Running = Mapping[UUID, Sequence[str]]
"""The digest of each running artifact, by environment."""


def _complete(environment_ids: Sequence[UUID], rows: Sequence[Row]) -> Running:
    """Return the environments of which all is known: not the one in which the rows were cut, nor those after it."""
    cut = sum(len(row["digests"]) for row in rows) > MAX_RUNNING
    end = rows[-1]["place"] - 1 if cut else len(environment_ids)
    found = {row["place"]: row["digests"] for row in rows}
    return {one: found.get(place, ()) for place, one in enumerate(environment_ids[:end], 1)}


def _within_limit(running: Running) -> tuple[Running, set[str]]:
    """Return the environments that bring no more than MAX_JUDGED digests together, with these digests."""
    chosen: dict[UUID, Sequence[str]] = {}
    known: set[str] = set()
    for environment_id, digests in running.items():
        new = set(digests) - known
        if len(known) + len(new) <= MAX_JUDGED:
            known |= new
            chosen[environment_id] = digests
    return chosen, known


def _summed_up(running: Running, judged: Mapping[str, ArtifactCompliance]) -> Mapping[UUID, EnvironmentCompliance]:
    return {
        one: environment_compliance(one, (judged[digest].state for digest in digests))
        for one, digests in running.items()
    }


@dataclass(frozen=True, slots=True)
class JudgedEnvironment:
    """An environment with its state; None if too much runs in the environments that were asked for together."""

    environment: Environment
    state: ComplianceState | None


async def judged_environments(
    reader: Reader, tenant: Tenant, environments: Sequence[Environment]
) -> list[JudgedEnvironment]:
    """Return environments with their states, in the same order."""
    judged = await compliance_of_environments(reader, tenant, [one.id for one in environments])
    return [JudgedEnvironment(one, judged[one.id].state if one.id in judged else None) for one in environments]


@dataclass(frozen=True, slots=True)
class RunningArtifact:
    """What runs in an environment, with its compliance."""

    deployment: Deployment
    compliance: ArtifactCompliance


_deployment = from_row(Deployment)
_NOW = f"""
SELECT {columns(Deployment)} FROM deployments WHERE environment_id = $1 AND removed_n IS NULL
ORDER BY deployed_at, id
"""


async def list_running(
    reader: Reader,
    tenant: Tenant,
    environment_id: UUID,
    window: Window,
    *,
    state: ComplianceState | None = None,
    reason: ReasonCode | None = None,
) -> tuple[EnvironmentCompliance, Page[RunningArtifact]]:
    """Judge an environment, and list what runs there, the longest running first; in a state and for a reason if given.

    All that runs is judged for each page: it is as little as one snapshot may have. Raises NotFound.
    """
    await get_environment(reader, tenant, environment_id)
    rows = await reader.rows(_NOW, environment_id)
    judged = await compliance_of_digests(reader, tenant, {row["digest"] for row in rows})
    compliance = environment_compliance(environment_id, (judged[row["digest"]].state for row in rows))
    found = [row for row in rows if _matches(judged[row["digest"]], state, reason)]
    shown, following = _part(found, window)
    items = [RunningArtifact(_deployment(row), judged[row["digest"]]) for row in shown]
    return compliance, Page(items, len(found), window, following)


def _matches(compliance: ArtifactCompliance, state: ComplianceState | None, reason: ReasonCode | None) -> bool:
    return state in (None, compliance.state) and (
        reason is None or any(one.code is reason for one in compliance.reasons)
    )


def _part(rows: Sequence[Row], window: Window) -> tuple[Sequence[Row], Cursor | None]:
    """Return the rows of one window of a list that is already in order, and the cursor of the next one."""
    start = window.page * window.size
    if after := window.after:
        start = bisect_right(rows, (after.time, after.id), key=_place)
    shown = rows[start : start + window.size]
    more = start + window.size < len(rows)
    return shown, Cursor(*_place(shown[-1])) if more else None


def _place(row: Row) -> tuple[datetime, UUID]:
    return row["deployed_at"], row["id"]
