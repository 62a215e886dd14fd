"""Reading verdicts, and recomputing them from their inputs."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from domain.facts.assertions import Assessment, Shortcoming, assess, unknown_artifact
from domain.facts.digests import normalise_digest
from domain.facts.verdicts import (
    AssertionInputs,
    Basis,
    Verdict,
    VerdictKind,
    approvals_among,
    result_to_json,
    results_among,
)
from domain.tenant import Tenant
from storage.counters import NO_PARENT
from storage.database import Reader, Row
from storage.facts.queries.approval_outcomes import outcomes_with_ids
from storage.facts.queries.cited import Recomputation, cited_results, recomputed, result_differences
from storage.facts.queries.requirements import asked_by
from storage.facts.queries.scoping import limits_on_trail
from storage.paging import Fitting, Listing, Page, Window

MAX_LISTED = 2 << 20
"""Bytes of the inputs of the verdicts of one page, as the database stores them: compressed to about a tenth."""

_VERDICTS = Listing.plain(Verdict, "verdicts", "verdict", limits=limits_on_trail("verdicts", flow_id=True))


async def get_verdict(reader: Reader, tenant: Tenant, verdict_id: UUID, *, kind: VerdictKind | None = None) -> Verdict:
    """Return one verdict, of a kind if given. Raises NotFound, also for another organisation's."""
    verdict = await _VERDICTS.get(reader, tenant, verdict_id)
    if kind is not None and verdict.kind != kind:
        raise _VERDICTS.missing(verdict_id)
    return verdict


async def list_verdicts(
    reader: Reader,
    tenant: Tenant,
    window: Window,
    *,
    kind: VerdictKind | None = None,
    outcome: str | None = None,
    flow_id: UUID | None = None,
    environment_id: UUID | None = None,
    digest: str | None = None,
    whole: bool = False,
) -> Page[Verdict]:
    """List verdicts in the direction of the window, oldest first by default, filtered by the given values.

    There are no more of them than MAX_LISTED allows. Raises Invalid if the window has to be `whole` and is too large.
    """
    filters = {
        "kind = {}": kind and kind.value,
        "outcome = {}": outcome,
        "flow_id = {}": flow_id,
        "environment_id = {}": environment_id,
        "digest = {}": normalise_digest(digest) if digest else None,
    }
    fitting = Fitting("pg_column_size(inputs)", MAX_LISTED, whole)
    return await _VERDICTS.page(
        reader, tenant, window, filters=filters, counter=("verdicts", NO_PARENT), fitting=fitting
    )


_VERSION = """
SELECT name, tags, required_types, requires_approval, required_approver_roles, template FROM flow_versions
WHERE org_id = $1 AND flow_id = $2 AND version = $3
"""
_TRAIL_TEMPLATE = "SELECT template FROM trails WHERE org_id = $1 AND id = $2"
_REPORT = """
SELECT coalesce(slot, name) AS name, digest, trail_id FROM artifact_reports WHERE org_id = $1 AND id = $2
"""


async def recompute(
    reader: Reader, tenant: Tenant, verdict: Verdict, lacking: Sequence[Shortcoming] = ()
) -> Recomputation:
    """Recompute an assertion from the current state of the facts that it cites, with at most five statements.

    `lacking` is what the cited policies demand and the artifact lacks.
    """
    version = await reader.row(_VERSION, tenant.org_id, verdict.flow_id, verdict.inputs["flowVersion"])
    if version is None:
        return Recomputation(None, [f"version {verdict.inputs['flowVersion']} of flow {verdict.flow_id} is gone"])
    seen = results_among(verdict.inputs)
    latest = await cited_results(reader, tenant, seen)
    cited = approvals_among(verdict.inputs)
    approvals = await outcomes_with_ids(reader, tenant, cited)
    inputs = AssertionInputs.from_json(verdict.inputs, latest, approvals)
    differences = result_differences(seen, latest)
    differences += [f"approval {one} is gone" for one in cited if one not in {found.id for found in approvals}]
    differences += await _report_differences(reader, tenant, inputs)
    if inputs.basis is Basis.TRAIL_TEMPLATE:
        trail = await reader.row(_TRAIL_TEMPLATE, tenant.org_id, inputs.trail_id)
        version = {**version, "template": trail["template"] if trail else {}}
    assessment = _assessment(version, inputs, lacking)
    return recomputed(verdict, assessment.outcome.value, result_to_json(assessment), differences)


def _assessment(
    version: Row | Mapping[str, Any], inputs: AssertionInputs, lacking: Sequence[Shortcoming]
) -> Assessment:
    asked = asked_by(version)
    if inputs.candidate is None:
        return unknown_artifact(asked)
    return assess(asked, inputs.latest, inputs.candidate, inputs.approvals, lacking)


async def _report_differences(reader: Reader, tenant: Tenant, inputs: AssertionInputs) -> list[str]:
    if inputs.candidate is None:
        return []
    row = await reader.row(_REPORT, tenant.org_id, inputs.report_id)
    then = (inputs.candidate.name, inputs.digest, inputs.trail_id)
    if row is None:
        return [f"artifact {inputs.report_id} is gone"]
    return [] if tuple(row.values()) == then else [f"artifact {inputs.report_id} differs from what was judged"]
