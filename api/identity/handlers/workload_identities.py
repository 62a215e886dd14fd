"""Handlers of workload identities."""

from uuid import UUID

from api.http.calls import Call
from api.http.dry_runs import Created, DryRun, Updated, created, updated
from api.http.versions import IfMatch, expected_versions
from api.identity.schemas.workload_identities import (
    WorkloadIdentityChangeIn,
    WorkloadIdentityIn,
    WorkloadIdentityOut,
)
from domain.identity.grants import check_role
from domain.identity.workload_identities import WorkloadIdentity, WorkloadTerms, ci_issuer
from integrations.oidc.discovery import checked_issuer
from storage.identity.commands import workload_identities as commands


async def create_workload_identity(
    call: Call, body: WorkloadIdentityIn, dry_run: DryRun = False
) -> Created[WorkloadIdentityOut]:
    """Create a workload identity: let CI jobs act with the tokens of their platform, without an API key."""
    terms = body.to_terms()
    check_role(call.caller, terms.role)
    given = None if body.issuer is None else checked_issuer(body.issuer, "issuer")
    issuer = ci_issuer(body.provider, given, http_allowed=call.services.settings.outbound_http)
    async with call.transaction(dry_run=dry_run) as tx:
        identity = await commands.create_workload_identity(tx, call.tenant, issuer, terms, call.actor)
    return created(WorkloadIdentityOut.of(identity, call), dry_run=dry_run)


async def update_workload_identity(
    call: Call,
    workload_identity_id: UUID,
    body: WorkloadIdentityChangeIn,
    dry_run: DryRun = False,
    if_match: IfMatch = None,
) -> Updated[WorkloadIdentityOut]:
    """Change a workload identity or its role, or disable or enable it."""

    def changed(identity: WorkloadIdentity) -> WorkloadTerms:
        terms = body.onto(identity)
        if terms.is_active:  # whoever says which jobs have a role gives it to them
            check_role(call.caller, terms.role)
        return terms

    async with call.transaction(dry_run=dry_run) as tx:
        identity = await commands.change_workload_identity(
            tx, call.tenant, workload_identity_id, changed, call.actor, expected=expected_versions(if_match)
        )
    return updated(WorkloadIdentityOut.of(identity, call), dry_run=dry_run)
