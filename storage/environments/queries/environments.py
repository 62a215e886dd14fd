"""Reading environments."""

from contextlib import suppress
from dataclasses import fields
from uuid import UUID

from domain.environments.environments import (
    DriftPolicy,
    DriftStatus,
    Environment,
    EnvironmentKind,
    EnvironmentType,
    Scope,
)
from domain.errors import NotFound
from domain.tenant import Tenant
from storage.counters import NO_PARENT
from storage.database import Reader, Row
from storage.environments.scoping import environment_limits
from storage.paging import Listing, Page, Window
from storage.rows import from_row


def _status(text: str | None) -> DriftStatus | None:
    return DriftStatus(text) if text else None


_environment = from_row(
    Environment, kind=EnvironmentKind, type=EnvironmentType, drift_policy=DriftPolicy, drift_status=_status
)


def environment_of(row: Row) -> Environment:
    """Make an environment of a row with its newest version."""
    return _environment({**row, "scope": scope_of(row)})


def scope_of(row: Row) -> Scope:
    """Make the scope of an environment of the row of its version."""
    return Scope(**{one.name: tuple(row[one.name]) for one in fields(Scope)})


_ENVIRONMENTS = Listing(
    "environment",
    "e.id, e.org_id, e.name, e.kind, e.version, v.type, v.description, v.drift_policy, v.include_names, "
    "v.include_patterns, v.exclude_names, v.exclude_patterns, v.stale_after, e.last_n, e.last_artifacts, "
    "e.last_reported_at, e.last_changed_at, e.stale_since, e.drift_status, e.drifted_since, e.recheck_at, "
    "e.created_at, e.updated_at",
    "environments e JOIN environment_versions v "
    "ON v.environment_id = e.id AND v.version = e.version AND e.kind = 'physical'",
    environment_of,
    alias="e.",
    archivable=True,
    limits=environment_limits,
)


async def get_environment(reader: Reader, tenant: Tenant, environment_id: UUID) -> Environment:
    """Return one environment. Raises NotFound, also if it is archived or belongs to another organisation."""
    return await _ENVIRONMENTS.get(reader, tenant, environment_id)


async def find_environment(reader: Reader, tenant: Tenant, name_or_id: str) -> Environment:
    """Return one environment by its name or, if the text is one, by its id. Raises NotFound."""
    with suppress(ValueError):
        return await get_environment(reader, tenant, UUID(name_or_id))
    where = _ENVIRONMENTS.of(tenant).and_("e.name = {}", name_or_id)
    row = await reader.row(f"{_ENVIRONMENTS.select} WHERE {where}", *where.values)
    if row is None:
        raise NotFound(f"There is no environment '{name_or_id[:100]}'.")
    return environment_of(row)


async def list_environments(
    reader: Reader, tenant: Tenant, window: Window, *, name: str | None = None
) -> Page[Environment]:
    """List the organisation's environments, oldest first; a name matches one at most."""
    counter = ("environments", NO_PARENT)
    return await _ENVIRONMENTS.page(reader, tenant, window, filters={"e.name = {}": name}, counter=counter)
