"""Handlers of evaluations by OPA bundles, and what they decided."""

from typing import Any
from uuid import UUID

from aiohttp import web

from api.gates.opa_evaluators import OPA_EVALUATORS
from api.gates.schemas.opa import OpaDecisionOut, OpaDecisionQuery, OpaEvaluationIn
from api.http.calls import Call, Reply
from api.http.dry_runs import Created, DryRun, created
from api.http.organisation import check_org_slug
from api.http.paging import list_reply
from domain.canonical import canonical_json
from domain.errors import Forbidden, Invalid
from domain.gates.opa import OpaOutcome, opa_input
from storage.database import Reader
from storage.gates.commands.opa_decisions import record_decisions
from storage.gates.queries import opa_decisions as queries
from storage.gates.queries.opa_bundles import active_bundle
from storage.gates.queries.opa_subjects import get_subject

_OUTCOME: web.RequestKey[OpaOutcome] = web.RequestKey("opa_outcome", OpaOutcome)
"""What the bundle decided about the request."""


async def evaluate_bundle(call: Call, *, body: OpaEvaluationIn, **_: Any) -> None:
    """Evaluate the bundle before any transaction begins: a policy may take seconds."""
    check_org_slug(call, body.org_slug)
    async with call.read() as reader:
        bundle = await active_bundle(reader, call.tenant, body.bundle)
        given = await _stored(reader, call, body) if body.of_stored else _stated(call, body)
    text = canonical_json(given).decode()
    call.request[_OUTCOME] = await call.request.app[OPA_EVALUATORS].decide(bundle, text)


async def evaluate_opa(call: Call, body: OpaEvaluationIn, dry_run: DryRun = False) -> Created[OpaDecisionOut]:  # noqa: ARG001
    """Evaluate an OPA bundle and keep what it decides.

    The input is allowed if no `deny` of any package of the bundle has an entry, and every `allow` is true. If a policy
    fails, takes longer than a second or needs too much memory, it is not allowed, and the reason says so.
    """
    async with call.transaction(dry_run=dry_run) as tx:
        [decision] = await record_decisions(tx, call.tenant, [call.request[_OUTCOME]], call.actor)
    return created(OpaDecisionOut.of(decision, call), dry_run=dry_run)


async def list_opa_decisions(call: Call, query: OpaDecisionQuery) -> Reply[list[OpaDecisionOut]]:
    """List what OPA bundles decided, newest first, as many as 8 MiB of input allow."""
    async with call.read() as reader:
        page = await queries.list_decisions(
            reader,
            call.tenant,
            query.window(descending=True),
            bundle_id=query.bundle_id,
            allow=query.allow,
            whole=query.counts_pages,
        )
    return list_reply(call, page, OpaDecisionOut)


async def get_opa_decision(call: Call, decision_id: UUID) -> OpaDecisionOut:
    """Get what an OPA bundle decided."""
    async with call.read() as reader:
        decision = await queries.get_decision(reader, call.tenant, decision_id)
    return OpaDecisionOut.of(decision, call)


async def _stored(reader: Reader, call: Call, body: OpaEvaluationIn) -> dict[str, Any]:
    """Return the input that stored facts make. Raises Invalid for one that the request states itself, NotFound."""
    if stated := [name for name, value in body.stated().items() if value is not None]:
        raise Invalid.of(stated[0], "is stored; leave it out, or leave trailId and artifactDigest out")
    subject = await get_subject(
        reader, call.tenant, trail_id=body.trail_id, digest=body.artifact_digest, environment=body.environment
    )
    return opa_input(subject)


def _stated(call: Call, body: OpaEvaluationIn) -> dict[str, Any]:
    """Return the input that the request states. Raises Invalid, and Forbidden for a key with scopes."""
    if call.tenant.scopes is not None:
        raise Forbidden("A key with scopes evaluates stored facts only: give a trailId or an artifactDigest.")
    if body.artifact_name is None:
        raise Invalid.of("artifactName", "is required without a trailId or an artifactDigest")
    stated = {**body.stated(), "environment": body.environment}
    known = {"artifactName", "artifactVersion", "environment", "attestations", "approvalStatus"}
    if repeated := known & (body.input or {}).keys():
        raise Invalid.of(f"input.{min(repeated)}", "has a field of its own in the request")
    return {**stated, "attestations": body.attestations or []}
