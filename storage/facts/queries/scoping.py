"""How scopes limit facts: a flow by its id; a trail, and all that is recorded on it, by its flow or its repository."""

from collections.abc import Sequence
from uuid import UUID

from domain.errors import NotFound
from domain.identity.scopes import Scopes
from domain.tenant import Tenant
from storage.paging import Alternative, Limits


def flow_limits(scopes: Scopes) -> Sequence[Alternative]:
    """Limit rows of `flows f`."""
    return (Alternative("f.id = {}", "uuid", scopes.flows),)


def trail_limits(alias: str = "") -> Limits:
    """Limit rows of trails, whose alias, if any, ends with a dot."""

    def limits(scopes: Scopes) -> Sequence[Alternative]:
        return (
            Alternative(f"{alias}flow_id = {{}}", "uuid", scopes.flows),
            Alternative(f"{alias}git_repository = {{}}", "text", scopes.repositories),
        )

    return limits


def limits_on_trail(table: str, *, flow_id: bool = False) -> Limits:
    """Limit rows of a table, given by its name or alias, with a `trail_id`; some have the trail's `flow_id` as well."""

    def limits(scopes: Scopes) -> Sequence[Alternative]:
        return (
            Alternative(f"{table}.flow_id = {{}}" if flow_id else on_trail("flow_id"), "uuid", scopes.flows),
            Alternative(on_trail("git_repository"), "text", scopes.repositories),
        )

    def on_trail(column: str) -> str:
        of_trail = f"t.org_id = {table}.org_id AND t.id = {table}.trail_id"
        return f"EXISTS (SELECT FROM trails t WHERE {of_trail} AND t.{column} = {{}})"

    return limits


def check_flow_scope(tenant: Tenant, flow_id: UUID) -> None:
    """Raise NotFound, as for a flow that does not exist, unless the flow is within the tenant's scopes."""
    if tenant.scopes is not None and not tenant.scopes.contain(flow_id):
        raise NotFound(f"There is no flow {flow_id}.")
