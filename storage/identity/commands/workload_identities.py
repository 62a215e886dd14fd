"""Creating, changing and removing workload identities."""

from collections.abc import Collection
from typing import Any
from uuid import UUID

from domain.audit.events import Actor
from domain.errors import Conflict
from domain.identity.principals import NewPrincipal, service_username
from domain.identity.records import WORKLOAD_IDENTITY
from domain.identity.workload_identities import Change, CiIssuer, WorkloadIdentity, WorkloadTerms, checked_terms
from domain.tenant import Tenant
from storage.database import Transaction
from storage.definitions import Definition
from storage.identity.commands.principals import (
    PRINCIPALS,
    change_role,
    create_principal_row,
    disable,
    hold_membership,
    remove_principal,
)
from storage.identity.queries.workload_identities import get_workload_identity, provider_of_issuer
from storage.identity.tables import workload_identities
from storage.references import check_scoped_flows

WORKLOAD_IDENTITIES = Definition(
    "workload identity",
    WORKLOAD_IDENTITY,
    workload_identities,
    shown={
        "provider": "provider",
        "issuer": "issuer",
        "repository": "repository",
        "repositoryId": "repository_id",
        "refPattern": "ref_pattern",
        "environment": "environment",
        "scopes": "scopes",
    },
    taken={},
)


async def create_workload_identity(
    tx: Transaction, tenant: Tenant, issuer: CiIssuer, new: WorkloadTerms, actor: Actor
) -> WorkloadIdentity:
    """Create a workload identity with its principal.

    Raises Invalid for bad terms, and Conflict for a taken name, for an issuer that the organisation has as another
    provider's, and when the organisation's quota is exceeded.
    """
    terms = checked_terms(issuer.provider, new)
    await check_scoped_flows(tx, tenant, terms.scopes)
    username = service_username(tenant, terms.name)
    principal = NewPrincipal("workload", username, terms.role, name=terms.name, description=terms.description)
    made = await create_principal_row(tx, tenant, principal, actor)  # holds the organisation
    known = await provider_of_issuer(tx, tenant, issuer.issuer)
    if known not in (None, issuer.provider):
        raise Conflict(f"Another workload identity has this issuer with the provider {known}.", "state")
    values = {"principal_id": made["id"], "provider": issuer.provider.value, "issuer": issuer.issuer, **_rule(terms)}
    row = await WORKLOAD_IDENTITIES.create(tx, tenant, actor, values)
    return await get_workload_identity(tx, tenant, row["id"])


async def change_workload_identity(
    tx: Transaction,
    tenant: Tenant,
    identity_id: UUID,
    change: Change,
    actor: Actor,
    *,
    expected: Collection[int] | None = None,
) -> WorkloadIdentity:
    """Change a workload identity as it stands, or disable or enable it; its tokens notice at once.

    Raises NotFound, Stale, Invalid for bad terms, Conflict for a taken name.
    """
    held = await WORKLOAD_IDENTITIES.hold(tx, tenant, identity_id, expected)
    before = await get_workload_identity(tx, tenant, identity_id)
    terms = checked_terms(before.provider, change(before))
    if terms == before.terms:
        return before
    if terms.scopes != before.scopes:
        await check_scoped_flows(tx, tenant, terms.scopes)
    await _change_principal(tx, tenant, before, terms, actor)
    # With the time, so that a change of the principal alone makes a version, too.
    await WORKLOAD_IDENTITIES.change(tx, tenant, actor, held, {**_rule(terms), "updated_at": tx.now})
    return await get_workload_identity(tx, tenant, identity_id)


async def delete_workload_identity(
    tx: Transaction, tenant: Tenant, identity_id: UUID, actor: Actor, *, expected: Collection[int] | None = None
) -> WorkloadIdentity:
    """Remove a workload identity: its tokens stop at once, and its name is free again. Raises NotFound, Stale."""
    held = await WORKLOAD_IDENTITIES.hold(tx, tenant, identity_id, expected)
    gone = await get_workload_identity(tx, tenant, identity_id)
    await remove_principal(tx, tenant, await PRINCIPALS.hold(tx, tenant, held["principal_id"]), actor)
    await WORKLOAD_IDENTITIES.archive(tx, tenant, actor, held)
    return gone


async def _change_principal(
    tx: Transaction, tenant: Tenant, before: WorkloadIdentity, terms: WorkloadTerms, actor: Actor
) -> None:
    held = await PRINCIPALS.hold(tx, tenant, before.principal_id)
    names = {"name": terms.name, "username": service_username(tenant, terms.name), "description": terms.description}
    row = await PRINCIPALS.change(tx, tenant, actor, held, names)
    await disable(tx, tenant, row, actor, is_active=terms.is_active)
    if terms.role != before.role:
        membership = await hold_membership(tx, tenant, before.principal_id)
        assert membership is not None  # noqa: S101 - the identity is locked, and lives as long as its membership
        await change_role(tx, tenant, membership, terms.role, actor)


def _rule(terms: WorkloadTerms) -> dict[str, Any]:
    """Return the columns that say which jobs may act, and on what."""
    return {
        "repository": terms.repository,
        "repository_id": terms.repository_id,
        "ref_pattern": terms.ref_pattern,
        "environment": terms.environment,
        "scopes": terms.scopes,
    }
