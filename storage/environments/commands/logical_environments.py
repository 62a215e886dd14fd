"""Defining logical environments. Every change, also of the members, makes a version that is kept."""

from collections.abc import Callable, Collection, Mapping
from typing import Any
from uuid import UUID

from domain.audit.events import Actor
from domain.environments.environments import DriftPolicy, EnvironmentKind, Scope, scope_columns
from domain.environments.logical_environments import (
    MAX_MEMBERS,
    LogicalEnvironment,
    LogicalEnvironmentChange,
    NewLogicalEnvironment,
    check_nesting,
)
from domain.environments.records import ENVIRONMENT
from domain.errors import Conflict, NotFound
from domain.tenant import Tenant
from storage.database import Row, Transaction
from storage.definitions import Definition
from storage.environments.commands.environments import NOTHING_REPORTED
from storage.environments.queries.logical_environments import (
    active_environments,
    logical_environment_of,
    nesting_around,
    with_members,
)
from storage.environments.tables import environment_versions, environments
from storage.identity.queries.organisations import held_organisation
from storage.paging import NOTHING

LOGICAL_ENVIRONMENTS = Definition(
    "logical environment",
    ENVIRONMENT,
    environments,
    shown={
        "name": "name",
        "type": "type",
        "version": "version",
        "membersAdded": "members_added",
        "membersRemoved": "members_removed",
    },
    taken={"environments_name_key": "An environment named '{name}' exists already."},
    versions=environment_versions,
    counter="logical_environments",
    where="kind = 'logical'",
    environment="id",
)

_SAME_MEMBERS: Row = {"members_added": [], "members_removed": []}
"""What the audit says about members of a change that leaves them alone."""

Choose = Callable[[Collection[UUID]], Collection[UUID]]
"""Returns the members that an environment is to have, given those that it has."""


async def create_logical_environment(
    tx: Transaction, tenant: Tenant, new: NewLogicalEnvironment, actor: Actor
) -> LogicalEnvironment:
    """Create a logical environment. Raises NotFound for a member, Conflict for a taken name and deep nesting."""
    nested = await _nested_among(tx, tenant, new.member_ids)
    first = {"id": tx.new_id(), "name": new.name, "members": {}}
    await _check_nesting(tx, tenant, first, nested)
    values = {
        **first,
        "kind": EnvironmentKind.LOGICAL.value,
        "type": EnvironmentKind.LOGICAL.value,
        "description": new.description,
        "drift_policy": DriftPolicy.IGNORE.value,
        **scope_columns(Scope()),
        "stale_after": None,
        **NOTHING_REPORTED,
        **_SAME_MEMBERS,
        **_membership(tx, first, new.member_ids),
    }
    return await _shown(tx, tenant, await LOGICAL_ENVIRONMENTS.create(tx, tenant, actor, values))


async def update_logical_environment(
    tx: Transaction,
    tenant: Tenant,
    environment_id: UUID,
    change: LogicalEnvironmentChange,
    actor: Actor,
    *,
    expected: Collection[int] | None = None,
) -> LogicalEnvironment:
    """Change a logical environment, unless nothing changes. `member_ids` replaces the members.

    `expected` are the versions that the caller accepts, None for any. Raises NotFound for it or a member, Stale for
    another version, and Conflict for a taken name and for members that contain it or are nested too deep.
    """
    values: dict[str, Any] = {**change}
    members = values.pop("member_ids", None)
    if members is not None:
        return await _change_members(
            tx, tenant, environment_id, members, lambda _: members, actor=actor, expected=expected, values=values
        )
    held = await _hold(tx, tenant, environment_id, expected)
    return await _shown(tx, tenant, await LOGICAL_ENVIRONMENTS.change(tx, tenant, actor, held, values))


async def add_member(
    tx: Transaction,
    tenant: Tenant,
    environment_id: UUID,
    member_id: UUID,
    actor: Actor,
    *,
    expected: Collection[int] | None = None,
) -> LogicalEnvironment:
    """Add a member. Raises NotFound for either, Stale, and Conflict for one that is there or contains the other."""

    def with_it(members: Collection[UUID]) -> Collection[UUID]:
        if member_id in members:
            raise Conflict(f"The environment {member_id} is a member already.")
        return [*members, member_id]

    return await _change_members(tx, tenant, environment_id, [member_id], with_it, actor=actor, expected=expected)


async def remove_member(
    tx: Transaction,
    tenant: Tenant,
    environment_id: UUID,
    member_id: UUID,
    actor: Actor,
    *,
    expected: Collection[int] | None = None,
) -> LogicalEnvironment:
    """Remove a member. Raises NotFound for the logical environment or the member, Stale."""

    def without_it(members: Collection[UUID]) -> Collection[UUID]:
        if member_id not in members:
            raise NotFound(f"The environment {member_id} is not a member of {environment_id}.")
        return [one for one in members if one != member_id]

    return await _change_members(tx, tenant, environment_id, [], without_it, actor=actor, expected=expected)


async def archive_logical_environment(
    tx: Transaction, tenant: Tenant, environment_id: UUID, actor: Actor, *, expected: Collection[int] | None = None
) -> LogicalEnvironment:
    """Archive a logical environment, release its name and return its last version. Raises NotFound, Stale."""
    held = await _hold(tx, tenant, environment_id, expected)
    return await _shown(tx, tenant, await LOGICAL_ENVIRONMENTS.archive(tx, tenant, actor, held))


async def _change_members(
    tx: Transaction,
    tenant: Tenant,
    environment_id: UUID,
    named: Collection[UUID],
    choose: Choose,
    *,
    actor: Actor,
    expected: Collection[int] | None,
    values: Row = NOTHING,
) -> LogicalEnvironment:
    """Give an environment the chosen members; `named` are those that the request names, and have to exist.

    Members that were archived are left out of the new version.
    """
    nested = await _nested_among(tx, tenant, named)
    held = await _hold(tx, tenant, environment_id, expected)
    active = await active_environments(tx, tenant, [UUID(one) for one in held["members"]])
    chosen = choose(active)
    await _check_nesting(tx, tenant, held, nested)
    row = await LOGICAL_ENVIRONMENTS.change(tx, tenant, actor, held, {**values, **_membership(tx, held, chosen)})
    return await _shown(tx, tenant, row)


async def _nested_among(tx: Transaction, tenant: Tenant, member_ids: Collection[UUID]) -> list[UUID]:
    """Return those of the members to be that are logical. Raises NotFound for one that does not exist.

    If there are any, the organisation is locked first, so that no two requests close a cycle together.
    """
    found = await active_environments(tx, tenant, member_ids)
    if missing := next((one for one in member_ids if one not in found), None):
        raise NotFound(f"There is no environment {missing}.")
    nested = [one for one, row in found.items() if row["kind"] == EnvironmentKind.LOGICAL]
    if nested:
        await held_organisation(tx, tenant)
    return nested


async def _hold(tx: Transaction, tenant: Tenant, environment_id: UUID, expected: Collection[int] | None) -> Row:
    return {**await LOGICAL_ENVIRONMENTS.hold(tx, tenant, environment_id, expected), **_SAME_MEMBERS}


async def _check_nesting(tx: Transaction, tenant: Tenant, held: Row, nested: Collection[UUID]) -> None:
    """Raise Conflict if an environment cannot have these logical members. Those that it has are known to be right."""
    if nested:
        nesting, names = await nesting_around(tx, tenant, held["id"], nested)
        check_nesting({**nesting, held["id"]: nested}, {**names, held["id"]: held["name"]}, held["id"])


def _membership(tx: Transaction, held: Row, members: Collection[UUID]) -> Mapping[str, Any]:
    """Return the columns of these members, those that stay with the time since which they are; none if all stay."""
    if len(set(members)) > MAX_MEMBERS:
        raise Conflict(f"A logical environment has at most {MAX_MEMBERS} members.", "state")
    before, wanted = held["members"], sorted(map(str, set(members)))
    if before.keys() == set(wanted):
        return {}
    return {
        "members": {one: before.get(one) or tx.now.isoformat() for one in wanted},
        "members_added": [one for one in wanted if one not in before],
        "members_removed": sorted(before.keys() - set(wanted)),
    }


async def _shown(tx: Transaction, tenant: Tenant, row: Row) -> LogicalEnvironment:
    [found] = await with_members(tx, tenant, [logical_environment_of(row)])
    return found
