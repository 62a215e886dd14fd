"""Defining environments. Every change makes a version that is kept: snapshots cite the one they were taken with."""

from collections.abc import Collection
from datetime import datetime
from typing import Any
from uuid import UUID

from domain.audit.events import Actor
from domain.environments.environments import (
    DriftPolicy,
    Environment,
    EnvironmentChange,
    EnvironmentKind,
    NewEnvironment,
    check_scope,
    scope_columns,
)
from domain.environments.records import ENVIRONMENT
from domain.tenant import Tenant
from storage.database import Row, Transaction
from storage.definitions import Definition
from storage.environments.commands.drift import tell_drift
from storage.environments.commands.snapshots import due_at
from storage.environments.queries.environments import environment_of
from storage.environments.scoping import check_environment_scope
from storage.environments.tables import environment_versions, environments

ENVIRONMENTS = Definition(
    "environment",
    ENVIRONMENT,
    environments,
    shown={"name": "name", "type": "type", "version": "version"},
    taken={"environments_name_key": "An environment named '{name}' exists already."},
    versions=environment_versions,
    counter="environments",
    where="kind = 'physical'",
    environment="id",
)


NOTHING_REPORTED: Row = {
    "last_n": 0,
    "last_content": None,
    "last_artifacts": 0,
    "last_reported_at": None,
    "last_changed_at": None,
    "due_at": None,
    "stale_since": None,
    "drift_status": None,
    "drifted_since": None,
    "recheck_at": None,
}
"""The columns of an environment that reports change, as they are before the first one."""


async def create_environment(tx: Transaction, tenant: Tenant, new: NewEnvironment, actor: Actor) -> Environment:
    """Create a physical environment. Raises Invalid for a bad scope, Conflict when the name is taken."""
    check_scope(new.scope)
    values = {
        "name": new.name,
        "kind": EnvironmentKind.PHYSICAL.value,
        "type": new.type.value,
        "description": new.description,
        "drift_policy": new.drift_policy.value,
        **scope_columns(new.scope),
        "stale_after": new.stale_after,
        "members": {},
        **NOTHING_REPORTED,
    }
    return environment_of(await ENVIRONMENTS.create(tx, tenant, actor, values))


async def update_environment(
    tx: Transaction,
    tenant: Tenant,
    environment_id: UUID,
    change: EnvironmentChange,
    actor: Actor,
    *,
    expected: Collection[int] | None = None,
) -> Environment:
    """Change an environment for future snapshots, unless nothing changes.

    Drift that was ignored is told to people when it is not ignored any more. `expected` are the versions that the
    caller accepts, None for any. Raises NotFound, Stale for another version, Invalid for a bad scope, Conflict when the
    name is taken.
    """
    check_environment_scope(tenant, environment_id)
    held = await ENVIRONMENTS.hold(tx, tenant, environment_id, expected)
    row = await ENVIRONMENTS.change(tx, tenant, actor, held, _columns(change, held, tx.now))
    if held["drift_policy"] == DriftPolicy.IGNORE and row["drift_policy"] != DriftPolicy.IGNORE:
        await tell_drift(tx, tenant, row)
    return environment_of(row)


async def archive_environment(
    tx: Transaction, tenant: Tenant, environment_id: UUID, actor: Actor, *, expected: Collection[int] | None = None
) -> Environment:
    """Archive an environment, release its name and return its last version. Raises NotFound, Stale."""
    check_environment_scope(tenant, environment_id)
    held = await ENVIRONMENTS.hold(tx, tenant, environment_id, expected)
    return environment_of(await ENVIRONMENTS.archive(tx, tenant, actor, held))


def _columns(change: EnvironmentChange, held: Row, now: datetime) -> dict[str, Any]:
    columns: dict[str, Any] = {**change}
    if (scope := columns.pop("scope", None)) is not None:
        check_scope(scope)
        columns |= scope_columns(scope)
    if columns.get("stale_after", held["stale_after"]) != held["stale_after"]:
        reported_at = held["last_reported_at"] and min(held["last_reported_at"], now)
        columns |= _staleness(due_at(columns["stale_after"], reported_at), held, now)
    return columns


def _staleness(due: datetime | None, held: Row, now: datetime) -> dict[str, Any]:
    """Return when an environment becomes stale; what is stale and still is remains so, untold."""
    if held["stale_since"] and due and due <= now:
        return {"due_at": None, "stale_since": due}
    return {"due_at": due, "stale_since": None}
