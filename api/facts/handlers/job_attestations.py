"""The handler of attestations of CI jobs by their tokens."""

from typing import Any

from aiohttp import web

from api.facts.schemas.attestations import AttestationOut
from api.facts.schemas.job_attestations import JobAttestationIn
from api.http.calls import Call
from api.http.dry_runs import Created, DryRun, created
from api.http.openid import OPENID
from api.http.organisation import check_org_slug
from api.http.sampling import SampledLog
from domain.errors import Rejected
from domain.facts.trails import Trail
from domain.identity.workload_identities import organisation_named
from domain.identity.workloads import Workload
from integrations.oidc.tokens import BadToken, TokenFault, audience_of, issuer_of
from storage.facts.commands.attestations import record_attestations
from storage.facts.queries.trails import get_trail
from storage.identity.commands.used_tokens import use_token
from storage.identity.queries.workload_identities import knows_repository, trust_in

NOT_ACCEPTED = "The token is not accepted: it is malformed, expired, of another issuer, or for another audience."
NO_IDENTITY = (
    "No workload identity of the organisation is for the issuer and the repository of this token: create one first."
)
_JOB: web.RequestKey[Workload] = web.RequestKey("job", Workload)

log = SampledLog()


async def verify_job(call: Call, *, body: JobAttestationIn, **_: Any) -> None:
    """Verify the token before any transaction begins: its issuer may have to be asked."""
    check_org_slug(call, body.org_slug)
    async with call.read() as reader:
        trail = await get_trail(reader, call.tenant, body.trail_id)
    try:
        job = await _verified(call, body.token)
    except BadToken as error:
        log.line("oidc_attestation.refused", error.reason.value, reason=error.reason.value)
        raise Rejected(NOT_ACCEPTED) from error
    _check_source(trail, job)
    call.request[_JOB] = job


async def record_job_attestation(
    call: Call, body: JobAttestationIn, dry_run: DryRun = False
) -> Created[AttestationOut]:
    """Record which CI job a trail is about, by the token that its platform signed.

    The attestation has the type `oidc-provenance`; its details are what the token says about the job. The token must be
    for this organisation, of a repository that a workload identity is for, and of the trail's commit. It is used once.
    """
    job = call.request[_JOB]
    async with call.transaction(dry_run=dry_run) as tx:
        await use_token(tx, call.tenant, job)
        [attestation] = await record_attestations(tx, call.tenant, [body.to_command(job, call.actor)])
    return created(AttestationOut.of(attestation, call), dry_run=dry_run)


async def _verified(call: Call, token: str) -> Workload:
    """Return the job of a token. Raises BadToken, Unavailable, and Rejected for a job that no identity is for."""
    services, slug = call.services, call.tenant.org_slug
    audience = next(
        (one for one in audience_of(token) if organisation_named(one, services.settings.address) == slug), None
    )
    if audience is None:
        raise BadToken(TokenFault.AUDIENCE)
    async with call.read() as reader:
        trust = await trust_in(reader, slug, issuer_of(token).rstrip("/"))
    if trust is None:
        raise Rejected(NO_IDENTITY)
    job = await call.request.app[OPENID].job_of(token, trust, audience, services.clock.now())
    async with call.read() as reader:
        if not await knows_repository(reader, trust, job):
            raise Rejected(NO_IDENTITY)
    return job


def _check_source(trail: Trail, job: Workload) -> None:
    if not trail.git_commit_sha.strip():
        raise Rejected("The trail names no commit that the token could be compared with.")
    if trail.git_commit_sha.lower() != job.sha.lower():
        raise Rejected(f"The token is of the commit {job.sha[:64]}, but the trail of {trail.git_commit_sha[:64]}.")
    if trail.git_repository and not job.is_of(trail.git_repository):  # a fork has the same commits
        raise Rejected(f"The token is of {job.repository[:200]}, but the trail of {trail.git_repository[:200]}.")
