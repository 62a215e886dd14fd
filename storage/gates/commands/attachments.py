"""Attaching policies to environments and flows, and detaching them."""

from collections.abc import Collection
from uuid import UUID

from domain.audit.events import Actor
from domain.errors import Conflict, NotFound
from domain.gates.policies import MAX_POLICIES, Attachment, NewAttachment, PolicyKind
from domain.gates.records import POLICY_ATTACHMENT
from domain.identity.quotas import FixedLimit
from domain.tenant import Tenant
from storage.database import Transaction
from storage.definitions import Definition
from storage.environments.queries.environments import get_environment
from storage.facts.queries.flows import get_flow
from storage.gates.queries.attachments import attachment_of
from storage.gates.tables import policy_attachments
from storage.identity.queries.organisations import held_organisation

ATTACHMENTS = Definition(
    "policy attachment",
    POLICY_ATTACHMENT,
    policy_attachments,
    shown={"policyId": "policy_id", "environmentId": "environment_id", "flowId": "flow_id"},
    taken={
        "policy_attachments_environment_key": "The policy is attached to this environment already.",
        "policy_attachments_flow_key": "The policy is attached to this flow already.",
    },
    environment="environment_id",
)

_POLICY = """
SELECT kind FROM policies WHERE org_id = $1 AND id = $2 AND archived_at IS NULL FOR NO KEY UPDATE
"""
_ROOM = """
SELECT count(*) FROM policy_attachments
WHERE org_id = $1 AND archived_at IS NULL AND (environment_id = $2 OR flow_id = $3)
"""
_OF_POLICY = "SELECT id FROM policy_attachments WHERE policy_id = $1 AND archived_at IS NULL ORDER BY id"


async def attach_policy(tx: Transaction, tenant: Tenant, new: NewAttachment, actor: Actor) -> Attachment:
    """Attach a policy to an environment or a flow.

    Raises NotFound for each of them, and Conflict for a policy that is attached there already, for a deployment policy,
    and when too many policies are attached there.
    """
    kind = await tx.value(_POLICY, tenant.org_id, new.policy_id)
    if kind != PolicyKind.ATTACHABLE:
        raise NotFound(f"There is no policy {new.policy_id} that can be attached.")
    if new.environment_id is not None:
        await get_environment(tx, tenant, new.environment_id)
    if new.flow_id is not None:
        await get_flow(tx, tenant, new.flow_id)
    await held_organisation(tx, tenant)
    if await tx.value(_ROOM, tenant.org_id, new.environment_id, new.flow_id) >= MAX_POLICIES:
        message = f"At most {MAX_POLICIES} policies may be attached there; detach one first."
        raise Conflict(message, "state", limit=FixedLimit.POLICIES)
    values = {"policy_id": new.policy_id, "environment_id": new.environment_id, "flow_id": new.flow_id}
    return attachment_of(await ATTACHMENTS.create(tx, tenant, actor, values))


async def detach(
    tx: Transaction, tenant: Tenant, attachment_id: UUID, actor: Actor, *, expected: Collection[int] | None = None
) -> Attachment:
    """Remove an attachment and return its last version. Raises NotFound, Stale."""
    held = await ATTACHMENTS.hold(tx, tenant, attachment_id, expected)
    return attachment_of(await ATTACHMENTS.archive(tx, tenant, actor, held))


async def detach_policy(tx: Transaction, tenant: Tenant, policy_id: UUID, actor: Actor) -> None:
    """Remove all attachments of a policy, whose row this transaction has locked."""
    for row in await tx.rows(_OF_POLICY, policy_id):
        await detach(tx, tenant, row["id"], actor)
