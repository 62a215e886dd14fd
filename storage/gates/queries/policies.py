"""Reading policies, and finding those that apply."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields, replace
from functools import lru_cache
from typing import NamedTuple
from uuid import UUID

import orjson

from domain.errors import Conflict
from domain.gates.evaluation import PolicyVersion
from domain.gates.policies import Policy, PolicyKind, PolicySettings
from domain.gates.rules import RuleSet
from domain.tenant import Tenant
from storage.counters import NO_PARENT
from storage.database import Reader, Row
from storage.paging import Listing, Page, Window
from storage.rows import from_row

POLICY_COLUMNS = tuple(one.name for one in fields(PolicySettings))
_settings = from_row(PolicySettings, required_types=tuple, opa_bundles=tuple)
_policy = from_row(Policy, kind=PolicyKind)


def policy_of(row: Row) -> Policy:
    """Make a policy of a row with its newest version."""
    return _policy({**row, "settings": _settings(row)})


_OF_VERSION = ", ".join(f"v.{name}" for name in POLICY_COLUMNS)
_SELECTED = f"p.id, p.org_id, p.kind, p.version, p.flow_id, p.environment_id, p.created_at, p.updated_at, {_OF_VERSION}"
_SOURCE = "policies p JOIN policy_versions v ON v.policy_id = p.id AND v.version = p.version"
_POLICIES = Listing("policy", _SELECTED, _SOURCE, policy_of, alias="p.", archivable=True, counted="policies p")
_KINDS: Mapping[PolicyKind, tuple[Listing[Policy], str]] = {
    PolicyKind.ATTACHABLE: (_POLICIES, "policies"),
    PolicyKind.DEPLOYMENT: (replace(_POLICIES, noun="deployment policy"), "deployment_policies"),
}


async def get_policy(reader: Reader, tenant: Tenant, policy_id: UUID, kind: PolicyKind) -> Policy:
    """Return a policy of one kind. Raises NotFound, also if it is archived or belongs to another organisation."""
    listing, _ = _KINDS[kind]
    policy = await listing.get(reader, tenant, policy_id)
    if policy.kind is not kind:
        raise listing.missing(policy_id)
    return policy


async def list_policies(
    reader: Reader,
    tenant: Tenant,
    window: Window,
    *,
    kind: PolicyKind,
    name: str | None = None,
    flow_id: UUID | None = None,
    environment_id: UUID | None = None,
) -> Page[Policy]:
    """List the organisation's policies of one kind, oldest first, filtered by the given values."""
    listing, counter = _KINDS[kind]
    return await listing.page(
        reader,
        tenant,
        window,
        within={"p.kind = {}": kind.value},
        filters={"p.name = {}": name, "p.flow_id = {}": flow_id, "p.environment_id = {}": environment_id},
        counter=(counter, NO_PARENT),
    )


_GOVERNED = "SELECT EXISTS (SELECT FROM policies WHERE org_id = $1 AND flow_id = $2 AND archived_at IS NULL)"


async def check_ungoverned(reader: Reader, tenant: Tenant, flow_id: UUID) -> None:
    """Raise Conflict if a flow has deployment policies."""
    if await reader.value(_GOVERNED, tenant.org_id, flow_id):
        raise Conflict("The flow cannot be deleted while it has deployment policies; delete them first.", kind="state")


_APPLYING = """
SELECT EXISTS (SELECT FROM policy_attachments WHERE org_id = $1 AND environment_id = $2 AND archived_at IS NULL)
    OR EXISTS (SELECT FROM policies WHERE org_id = $1 AND environment_id = $2 AND archived_at IS NULL)
"""


async def check_without_policies(reader: Reader, tenant: Tenant, environment_id: UUID, change: str) -> None:
    """Raise Conflict if an environment has policies, attached or of deployments: its name would lead past them."""
    if await reader.value(_APPLYING, tenant.org_id, environment_id):
        message = f"The environment cannot be {change} while it has policies; detach or delete them first."
        raise Conflict(message, kind="state")


class Applicable(NamedTuple):
    """The policies that apply to deployments, by what they apply to."""

    of_environments: Mapping[UUID, Sequence[PolicyVersion]]
    of_flows: Mapping[UUID, Sequence[PolicyVersion]]
    deployment: Sequence[tuple[PolicyVersion, UUID | None]]
    """Deployment policies of flows, each with the environment that it is limited to."""

    def to(self, flow_ids: Collection[UUID], environment_id: UUID | None) -> list[PolicyVersion]:
        """Return the policies for artifacts of these flows in an environment, or anywhere: each once.

        Of several flows that a policy is attached to, it names those that are asked for.
        """
        everywhere = self.of_environments.get(environment_id, ()) if environment_id else ()
        found = {policy.id: policy for policy in everywhere}
        of_flows = [policy for flow_id in flow_ids for policy in self.of_flows.get(flow_id, ())]
        limited = [policy for policy, place in self.deployment if place in (None, environment_id)]
        for policy in (*of_flows, *limited):
            if policy.flows is not None and (own := policy.flows.intersection(flow_ids)):
                found.setdefault(policy.id, replace(policy, flows=own))
        return list(found.values())


_APPLICABLE = """
WITH attached AS (
  SELECT policy_id, environment_id, flow_id FROM policy_attachments
  WHERE environment_id = ANY($2::uuid[]) AND archived_at IS NULL AND org_id = $1
  UNION ALL
  SELECT policy_id, environment_id, flow_id FROM policy_attachments
  WHERE flow_id = ANY($3::uuid[]) AND archived_at IS NULL AND org_id = $1
)
SELECT a.environment_id AS attached_to, a.flow_id AS attached_flow, p.id, p.kind, p.version, p.flow_id,
       p.environment_id, v.name, v.rules::text AS rules
FROM attached a
JOIN policies p ON p.id = a.policy_id AND p.archived_at IS NULL AND p.is_active
JOIN policy_versions v ON v.policy_id = p.id AND v.version = p.version
UNION ALL
SELECT NULL, NULL, p.id, p.kind, p.version, p.flow_id, p.environment_id, v.name, v.rules::text
FROM policies p JOIN policy_versions v ON v.policy_id = p.id AND v.version = p.version
WHERE p.org_id = $1 AND p.flow_id = ANY($3::uuid[]) AND p.archived_at IS NULL AND p.is_active
ORDER BY name, id
"""


async def applicable_policies(
    reader: Reader, tenant: Tenant, flow_ids: Collection[UUID], environment_ids: Collection[UUID]
) -> Applicable:
    """Return what applies to artifacts of these flows and to these environments, with one statement."""
    rows = await reader.rows(_APPLICABLE, tenant.org_id, list(environment_ids), list(flow_ids))
    flows: dict[UUID, set[UUID]] = {}
    for row in rows:
        if row["attached_flow"]:
            flows.setdefault(row["id"], set()).add(row["attached_flow"])
    of_environments: dict[UUID, list[PolicyVersion]] = {}
    of_flows: dict[UUID, list[PolicyVersion]] = {}
    deployment: list[tuple[PolicyVersion, UUID | None]] = []
    for row in rows:
        if row["attached_to"]:
            of_environments.setdefault(row["attached_to"], []).append(_version(row))
        elif row["attached_flow"]:
            of_flows.setdefault(row["attached_flow"], []).append(_version(row, frozenset(flows[row["id"]])))
        else:
            deployment.append((_version(row, frozenset({row["flow_id"]})), row["environment_id"]))
    return Applicable(of_environments, of_flows, deployment)


def _version(row: Row, flows: frozenset[UUID] | None = None) -> PolicyVersion:
    return PolicyVersion(row["id"], row["version"], row["name"], _rules(row["rules"]), flows)


@lru_cache(maxsize=1024)
def _rules(text: str) -> RuleSet:
    return RuleSet.from_json(orjson.loads(text))


_CITED = """
SELECT v.policy_id AS id, v.version, v.name, v.rules::text AS rules
FROM unnest($2::uuid[], $3::int[]) AS cited(id, version)
JOIN policy_versions v ON v.policy_id = cited.id AND v.version = cited.version
WHERE v.org_id = $1
"""


async def policy_versions(
    reader: Reader, tenant: Tenant, cited: Mapping[UUID, int]
) -> Mapping[tuple[UUID, int], PolicyVersion]:
    """Return versions of policies, also of archived ones, by id and version."""
    rows = await reader.rows(_CITED, tenant.org_id, list(cited), list(cited.values()))
    return {(row["id"], row["version"]): _version(row) for row in rows}
