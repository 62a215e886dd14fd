"""Reading the stored facts that policies are asked about."""

from uuid import UUID

from domain.errors import NotFound
from domain.facts.approvals import standing
from domain.facts.artifacts import ArtifactReport
from domain.gates.opa import Subject
from domain.tenant import Tenant
from storage.database import Reader
from storage.environments.queries.environments import only_environment
from storage.facts.queries.approval_outcomes import outcomes_of
from storage.facts.queries.artifacts import newest_report
from storage.facts.queries.flows import get_flow
from storage.facts.queries.latest_results import latest_results_of
from storage.facts.queries.trails import get_trail
from storage.gates.queries.security_scans import scans_behind


async def get_subject(
    reader: Reader, tenant: Tenant, *, trail_id: UUID | None, digest: str | None, environment: str | None
) -> Subject:
    """Return what is known of an artifact on its newest trail, or on the given one, or of a trail as a whole.

    Raises NotFound, also for what is outside the scopes, and for an environment that does not exist.
    """
    report = await _report(reader, tenant, digest, trail_id) if digest else None
    trail = await get_trail(reader, tenant, report.trail_id if report else _given(trail_id))
    flow = await get_flow(reader, tenant.unscoped, trail.flow_id)
    latest = await latest_results_of(reader, [trail.id])
    outcomes = await outcomes_of(reader, [trail.id])
    place = await only_environment(reader, tenant.unscoped, [environment] if environment else [])
    place_id = place.id if place else None
    approval, _ = standing(outcomes.get(trail.id, ()), digest, place_id, roles=flow.required_approver_roles)
    return Subject(
        flow_id=flow.id,
        flow_name=flow.name,
        trail=trail,
        attestations=latest[trail.id],
        approval=approval,
        digest=digest,
        artifact_name=report.name if report else None,
        artifact_version=report.tag if report else None,
        provenance=report.provenance_status if report else None,
        environment=place.name if place else None,
        scans=await scans_behind(reader, tenant, [one.attestation_id for one in latest[trail.id]]),
    )


async def _report(reader: Reader, tenant: Tenant, digest: str, trail_id: UUID | None) -> ArtifactReport:
    report = await newest_report(reader, tenant, digest, trail_id)
    if report is None:
        raise NotFound(f"No trail has reported the artifact {digest}.")
    return report


def _given(trail_id: UUID | None) -> UUID:
    if trail_id is None:
        raise NotFound("There is no trail.")
    return trail_id
