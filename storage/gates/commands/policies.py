"""Defining policies of both kinds. Every change makes a version that is kept: verdicts cite it."""

from collections.abc import Callable, Collection
from typing import Any
from uuid import UUID

from domain.audit.events import Actor
from domain.errors import Conflict, Invalid
from domain.gates.policies import MAX_POLICIES, NewPolicy, Policy, PolicyKind, PolicySettings
from domain.gates.records import POLICY
from domain.identity.quotas import FixedLimit
from domain.tenant import Tenant
from storage.database import Row, Transaction
from storage.definitions import Definition
from storage.environments.queries.environments import get_environment
from storage.facts.queries.flows import get_flow
from storage.gates.commands.attachments import detach_policy
from storage.gates.queries.policies import POLICY_COLUMNS, policy_of
from storage.gates.tables import policies, policy_versions
from storage.identity.queries.organisations import held_organisation
from storage.threads import in_thread_if


def _definition(kind: PolicyKind, noun: str, counter: str) -> Definition:
    return Definition(
        noun,
        POLICY,
        policies,
        shown={
            "name": "name",
            "kind": "kind",
            "version": "version",
            "isActive": "is_active",
            "flowId": "flow_id",
            "environmentId": "environment_id",
        },
        taken={"policies_name_key": "A policy named '{name}' exists already."},
        versions=policy_versions,
        counter=counter,
        environment="environment_id",
        where=f"kind = '{kind.value}'",
    )


POLICIES = _definition(PolicyKind.ATTACHABLE, "policy", "policies")
DEPLOYMENT_POLICIES = _definition(PolicyKind.DEPLOYMENT, "deployment policy", "deployment_policies")

_KINDS = {PolicyKind.ATTACHABLE: POLICIES, PolicyKind.DEPLOYMENT: DEPLOYMENT_POLICIES}


async def create_policy(tx: Transaction, tenant: Tenant, new: NewPolicy, actor: Actor) -> Policy:
    """Create a policy.

    Raises Invalid for a policy file that cannot be read, NotFound for the flow or the environment, and Conflict for the
    name of another attachable policy and for a flow that has too many deployment policies.
    """
    if new.flow_id is not None:
        await get_flow(tx, tenant, new.flow_id)
        await _check_room(tx, tenant, new.flow_id)
    if new.environment_id is not None:
        await get_environment(tx, tenant, new.environment_id)
    values = {
        "kind": new.kind.value,
        "flow_id": new.flow_id,
        "environment_id": new.environment_id,
        **await _columns(new.settings),
    }
    return policy_of(await _KINDS[new.kind].create(tx, tenant, actor, values))


def updating(kind: PolicyKind) -> Callable[..., Any]:
    """Return the command that changes a policy of this kind, unless nothing changes.

    `expected` are the versions that the caller accepts, None for any. It raises NotFound, Stale for another version,
    Invalid for a policy file that cannot be read, and Conflict when the name is taken.
    """

    async def update(
        tx: Transaction,
        tenant: Tenant,
        policy_id: UUID,
        change: dict[str, Any],
        actor: Actor,
        *,
        expected: Collection[int] | None = None,
    ) -> Policy:
        held = await _KINDS[kind].hold(tx, tenant, policy_id, expected)
        settings = policy_of(held).settings.changed(_settable(held, change))
        if settings.is_active and not held["is_active"] and held["flow_id"]:
            await _check_room(tx, tenant, held["flow_id"])
        return policy_of(await _KINDS[kind].change(tx, tenant, actor, held, await _columns(settings)))

    return update


def archiving(kind: PolicyKind) -> Callable[..., Any]:
    """Return the command that archives a policy of this kind, with its attachments. It raises NotFound, Stale."""

    async def archive(
        tx: Transaction, tenant: Tenant, policy_id: UUID, actor: Actor, *, expected: Collection[int] | None = None
    ) -> Policy:
        held = await _KINDS[kind].hold(tx, tenant, policy_id, expected)
        await detach_policy(tx, tenant, policy_id, actor)
        return policy_of(await _KINDS[kind].archive(tx, tenant, actor, held))

    return archive


def _settable(held: Row, change: dict[str, Any]) -> dict[str, Any]:
    """Return the change without the flow and the environment. Raises Invalid if they are not those of the policy."""
    for field, name in (("flowId", "flow_id"), ("environmentId", "environment_id")):
        if name in change and change[name] != held[name]:
            raise Invalid.of(field, "cannot be changed; create another policy")
    return {name: value for name, value in change.items() if name not in {"flow_id", "environment_id"}}


_COUNT = "SELECT count(*) FROM policies WHERE org_id = $1 AND flow_id = $2 AND archived_at IS NULL AND is_active"


async def _check_room(tx: Transaction, tenant: Tenant, flow_id: UUID) -> None:
    """Raise Conflict if a flow has as many active deployment policies as it may; the organisation is locked for it."""
    await held_organisation(tx, tenant)
    if await tx.value(_COUNT, tenant.org_id, flow_id) >= MAX_POLICIES:
        message = f"A flow has at most {MAX_POLICIES} active deployment policies; delete one first."
        raise Conflict(message, "state", limit=FixedLimit.POLICIES)


async def _columns(settings: PolicySettings) -> Row:
    """Return what is stored. The conditions of a long policy file take a tenth of a second to compile."""
    values = {name: getattr(settings, name) for name in POLICY_COLUMNS}
    lists = {name: list(values[name]) for name in ("required_types", "opa_bundles")}
    compiled = await in_thread_if(settings.yaml is not None, settings.compiled)
    return {**values, **lists, "rules": compiled.to_json()}
