"""Reading the compliance of what runs: judged when it is asked for, so that it is never out of date."""

from bisect import bisect_right
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from uuid import UUID

from domain.environments.compliance import (
    Artifact,
    ArtifactCompliance,
    AttachedPolicy,
    ComplianceState,
    EnvironmentCompliance,
    Judgement,
    PolicyFindings,
    ReasonCode,
    artifact_compliance,
    environment_compliance,
    judge,
)
from domain.environments.deployments import Deployment
from domain.environments.environments import Environment
from domain.tenant import Tenant
from storage.database import Reader, Row
from storage.environments.queries.attached_policies import Artifacts, Policies, Reports, Running, without_policies
from storage.environments.queries.environments import get_environment
from storage.facts.queries.newest_reports import MAX_ON_LOOP, NewestReport, newest_reports
from storage.paging import Cursor, Page, Window
from storage.rows import columns, from_row
from storage.threads import in_thread_if

MAX_RUNNING = 100_000
"""Running artifacts of all environments that are judged at once."""
MAX_JUDGED = 10_000
"""Different digests among them; one environment never has more."""


@dataclass(frozen=True, slots=True)
class Compliance:
    """What is known of artifacts: by all flows, and by the policies of the environments in which they run."""

    by_flows: Mapping[str, ArtifactCompliance]
    by_policies: Mapping[UUID, PolicyFindings]

    def of(self, environment_id: UUID, artifact: Artifact) -> ArtifactCompliance:
        """Return the compliance of an artifact that runs in an environment."""
        by_flows, findings = self.by_flows[artifact[1]], self.by_policies.get(environment_id)
        return findings.applied_to(artifact, by_flows) if findings else by_flows

    def all_of(self, environment_id: UUID, running: Artifacts) -> Iterator[ArtifactCompliance]:
        """Return the compliance of all that runs in an environment, in the same order."""
        if environment_id in self.by_policies:
            return (self.of(environment_id, artifact) for artifact in running.paired())
        return (self.by_flows[digest] for digest in running.digests)

    def policies(self, environment_id: UUID) -> Sequence[AttachedPolicy]:
        """Return the policies that are attached to an environment."""
        findings = self.by_policies.get(environment_id)
        return findings.policies if findings else ()


async def compliance_of_digests(
    reader: Reader,
    tenant: Tenant,
    digests: Collection[str],
    running: Running = MappingProxyType({}),
    policies: Policies = without_policies,
) -> Compliance:
    """Judge digests by the newest report in every flow, and those that run by the policies of their environments.

    It takes three or four statements, however many digests there are, and those of the policies. A state does not
    depend on the tenant's scopes; a flow outside them is not named, nor what it found.
    """
    reports = await newest_reports(reader, tenant, digests)
    by_flows = await in_thread_if(len(digests) > MAX_ON_LOOP, _judge, digests, reports)
    return Compliance(by_flows, await policies(reader, tenant, running, reports))


def _judge(digests: Collection[str], reports: Reports) -> Mapping[str, ArtifactCompliance]:
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
SELECT place, array_agg(name) AS names, array_agg(digest) AS digests
FROM (
  SELECT wanted.place, now.name, now.digest
  FROM unnest($2::uuid[]) WITH ORDINALITY AS wanted(environment_id, place)
  CROSS JOIN LATERAL (
    SELECT org_id, name, digest FROM deployments
    WHERE environment_id = wanted.environment_id AND removed_n IS NULL OFFSET 0
  ) now
  WHERE now.org_id = $1
  ORDER BY wanted.place LIMIT $3
) found
GROUP BY place ORDER BY place
"""


async def compliance_of_environments(
    reader: Reader, tenant: Tenant, environment_ids: Sequence[UUID], policies: Policies = without_policies
) -> Mapping[UUID, EnvironmentCompliance]:
    """Judge what runs in environments within the tenant's scopes, with five statements and those of the policies.

    One environment is always judged, and as many of the others, in their order, as MAX_RUNNING and MAX_JUDGED allow;
    the rest is left out.
    """
    rows = await reader.rows(_RUNNING, tenant.org_id, environment_ids, MAX_RUNNING + 1)
    many = sum(len(row["digests"]) for row in rows) > MAX_ON_LOOP
    chosen, digests = await in_thread_if(many, _within_limit, environment_ids, rows)
    judged = await compliance_of_digests(reader, tenant, digests, chosen, policies)
    return await in_thread_if(many, _summed_up, chosen, judged)


_NOTHING = Artifacts((), ())


def _complete(environment_ids: Sequence[UUID], rows: Sequence[Row]) -> Running:
    """Return the environments of which all is known: not the one in which the rows were cut, nor those after it."""
    cut = sum(len(row["digests"]) for row in rows) > MAX_RUNNING
    end = rows[-1]["place"] - 1 if cut else len(environment_ids)
    found = {row["place"]: Artifacts(row["names"], row["digests"]) for row in rows}
    return {one: found.get(place, _NOTHING) for place, one in enumerate(environment_ids[:end], 1)}


def _within_limit(environment_ids: Sequence[UUID], rows: Sequence[Row]) -> tuple[Running, set[str]]:
    """Return the environments that bring no more than MAX_JUDGED digests together, with these digests."""
    chosen: dict[UUID, Artifacts] = {}
    known: set[str] = set()
    for environment_id, artifacts in _complete(environment_ids, rows).items():
        new = set(artifacts.digests) - known
        if len(known) + len(new) <= MAX_JUDGED:
            known |= new
            chosen[environment_id] = artifacts
    return chosen, known


def _summed_up(running: Running, judged: Compliance) -> Mapping[UUID, EnvironmentCompliance]:
    return {
        one: environment_compliance(one, (found.state for found in judged.all_of(one, artifacts)), judged.policies(one))
        for one, artifacts in running.items()
    }


@dataclass(frozen=True, slots=True)
class JudgedEnvironment:
    """An environment with its state; None if too much runs in the environments that were asked for together."""

    environment: Environment
    state: ComplianceState | None


async def judged_environments(
    reader: Reader, tenant: Tenant, environments: Sequence[Environment], *, policies: Policies = without_policies
) -> list[JudgedEnvironment]:
    """Return environments with their states, in the same order."""
    judged = await compliance_of_environments(reader, tenant, [one.id for one in environments], policies)
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
    policies: Policies = without_policies,
) -> tuple[EnvironmentCompliance, Page[RunningArtifact]]:
    """Judge an environment, and list what runs there, the longest running first; in a state and for a reason if given.

    All that runs is judged for each page: it is as little as one snapshot may have. Raises NotFound.
    """
    await get_environment(reader, tenant, environment_id)
    rows = await reader.rows(_NOW, environment_id)
    running = Artifacts([row["name"] for row in rows], [row["digest"] for row in rows])
    judged = await compliance_of_digests(reader, tenant, set(running.digests), {environment_id: running}, policies)
    known = await in_thread_if(len(rows) > MAX_ON_LOOP, lambda: list(judged.all_of(environment_id, running)))
    states = (one.state for one in known)
    compliance = environment_compliance(environment_id, states, judged.policies(environment_id))
    found = [one for one in zip(rows, known, strict=True) if _matches(one[1], state, reason)]
    shown, following = _part(found, window)
    items = [RunningArtifact(_deployment(row), one) for row, one in shown]
    return compliance, Page(items, len(found), window, following)


def _matches(compliance: ArtifactCompliance, state: ComplianceState | None, reason: ReasonCode | None) -> bool:
    return state in (None, compliance.state) and (
        reason is None or any(one.code is reason for one in compliance.reasons)
    )


_Judged = tuple[Row, ArtifactCompliance]


def _part(rows: Sequence[_Judged], window: Window) -> tuple[Sequence[_Judged], Cursor | None]:
    """Return the rows of one window of a list that is already in order, and the cursor of the next one."""
    start = window.page * window.size
    if after := window.after:
        start = bisect_right(rows, (after.time, after.id), key=_place)
    shown = rows[start : start + window.size]
    more = start + window.size < len(rows)
    return shown, Cursor(*_place(shown[-1])) if more else None


def _place(judged: _Judged) -> tuple[datetime, UUID]:
    row, _ = judged
    return row["deployed_at"], row["id"]
