"""Reading environments."""

from collections.abc import Collection, Mapping
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
from domain.errors import Invalid, NotFound
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


_NAMED = f"""
{_ENVIRONMENTS.select}
WHERE e.org_id = $1 AND e.archived_at IS NULL AND (e.id = ANY($2::uuid[]) OR e.name = ANY($3::text[]))
"""


async def named_environments(reader: Reader, tenant: Tenant, references: Collection[str]) -> Mapping[str, Environment]:
    """Return environments by how they are referred to: by their id, or else by their name. Raises NotFound."""
    ids = {reference: _id(reference) for reference in references}
    rows = await reader.rows(_NAMED, tenant.org_id, [one for one in ids.values() if one], list(references))
    known: dict[UUID | str, Environment] = {}
    for environment in map(environment_of, rows):
        if tenant.scopes is None or environment.id in tenant.scopes.environments:
            known |= {environment.id: environment, environment.name: environment}
    found = {}
    for reference, one_id in ids.items():
        environment_or_none = known.get(one_id or reference) or known.get(reference)
        if environment_or_none is None:
            raise NotFound(f"There is no environment {reference[:100]}.")
        found[reference] = environment_or_none
    return found


async def only_environment(reader: Reader, tenant: Tenant, references: Collection[str]) -> Environment | None:
    """Return the environment that all references name, None without any. Raises NotFound, and Invalid for several."""
    named = await named_environments(reader, tenant, references) if references else {}
    return the_only_one(list(named.values()))


_EVER = "SELECT e.id FROM environments e WHERE e.org_id = $1 AND e.id = $2 AND e.kind = 'physical'"


async def environment_id_ever(reader: Reader, tenant: Tenant, reference: str) -> UUID:
    """Return the id of an environment by its name, or by its id also if it is archived. Raises NotFound."""
    one_id = _id(reference)
    visible = one_id and (tenant.scopes is None or one_id in tenant.scopes.environments)
    if one_id and visible and await reader.row(_EVER, tenant.org_id, one_id):
        return one_id
    return (await named_environments(reader, tenant, [reference]))[reference].id


def the_only_one(environments: Collection[Environment]) -> Environment | None:
    """Return the environment that was named, perhaps in several ways. Raises Invalid if there is more than one."""
    found = {one.id: one for one in environments}
    if len(found) > 1:
        raise Invalid.of("environment", "is another one than environmentId; give one of them")
    return next(iter(found.values()), None)


def _id(reference: str) -> UUID | None:
    with suppress(ValueError):
        return UUID(reference)
    return None


_CITED = """
SELECT name, drift_policy FROM environment_versions WHERE org_id = $1 AND environment_id = $2 AND version = $3
"""


async def cited_environment(reader: Reader, tenant: Tenant, environment_id: UUID, version: int) -> Row | None:
    """Return the name and the drift policy of a version of an environment, also of an archived one."""
    return await reader.row(_CITED, tenant.org_id, environment_id, version)


async def list_environments(
    reader: Reader, tenant: Tenant, window: Window, *, name: str | None = None
) -> Page[Environment]:
    """List the organisation's environments, oldest first; a name matches one at most."""
    counter = ("environments", NO_PARENT)
    return await _ENVIRONMENTS.page(reader, tenant, window, filters={"e.name = {}": name}, counter=counter)
