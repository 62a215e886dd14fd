"""Reading OPA bundles."""

from collections.abc import Collection
from uuid import UUID

from domain.errors import NotFound
from domain.gates.opa import Bundle
from domain.gates.rego import Module, Rule, Source
from domain.tenant import Tenant
from storage.database import Reader, Row
from storage.paging import Listing, Page, Window, capped_count, fetch_fitting

MAX_LISTED = 8 << 20
"""Bytes of the bundles of one page."""

_COLUMNS = (
    "id, org_id, name, bundle_version, modules, data, rules, sha256, activated_at, version, created_at, updated_at"
)
_ACTIVE = f"SELECT {_COLUMNS} FROM opa_bundles WHERE org_id = $1 AND archived_at IS NULL AND activated_at IS NOT NULL"
_NAMED = f"{_ACTIVE} AND name = ANY($2::text[])"
_NEWEST = f"{_ACTIVE} ORDER BY activated_at DESC, id DESC LIMIT 1"


def bundle_of(row: Row) -> Bundle:
    """Convert a row."""
    modules = tuple(Module(*one) for one in row["modules"])
    return Bundle(
        id=row["id"],
        org_id=row["org_id"],
        name=row["name"],
        bundle_version=row["bundle_version"],
        source=Source(modules, row["data"]),
        rules=tuple(Rule(tuple(package), name) for package, name in row["rules"]),
        sha256=row["sha256"],
        activated_at=row["activated_at"],
        version=row["version"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


BUNDLES = Listing("OPA bundle", _COLUMNS, "opa_bundles", bundle_of, archivable=True)


async def list_bundles(
    reader: Reader, tenant: Tenant, window: Window, *, name: str | None = None, active: bool | None = None, whole: bool
) -> Page[Bundle]:
    """List bundles, oldest first, as many as MAX_LISTED allows.

    Raises Invalid if the window has to be `whole` and is too large.
    """
    where = BUNDLES.of(tenant)
    if name is not None:
        where = where.and_("name = {}", name)
    if active is not None:
        where = where.and_(f"activated_at IS {'NOT NULL' if active else 'NULL'}")
    items, following = await fetch_fitting(reader, BUNDLES, where, window, weight="size", most=MAX_LISTED, whole=whole)
    number, capped = await capped_count(reader, BUNDLES.source, where)
    return Page(items, number, window, following, capped)


async def active_bundles(reader: Reader, tenant: Tenant, names: Collection[str]) -> dict[str, Bundle]:
    """Return the active bundle of each name that has one."""
    rows = await reader.rows(_NAMED, tenant.org_id, list(names))
    return {row["name"]: bundle_of(row) for row in rows}


_ACTIVE_IDS = """
SELECT name, id FROM opa_bundles
WHERE org_id = $1 AND archived_at IS NULL AND activated_at IS NOT NULL AND name = ANY($2::text[])
"""


async def active_bundle_ids(reader: Reader, tenant: Tenant, names: Collection[str]) -> dict[str, UUID]:
    """Return the id of the active bundle of each name that has one, without its content."""
    return {row["name"]: row["id"] for row in await reader.rows(_ACTIVE_IDS, tenant.org_id, list(names))}


async def active_bundle(reader: Reader, tenant: Tenant, name: str | None) -> Bundle:
    """Return the active bundle of a name, or the one that was activated last. Raises NotFound."""
    if name is not None:
        found = (await active_bundles(reader, tenant, [name])).get(name)
        if found is None:
            raise NotFound(f"No OPA bundle named '{name}' is active.")
        return found
    row = await reader.row(_NEWEST, tenant.org_id)
    if row is None:
        raise NotFound("No OPA bundle is active.")
    return bundle_of(row)


async def get_bundle(reader: Reader, tenant: Tenant, bundle_id: UUID) -> Bundle:
    """Return one bundle. Raises NotFound."""
    return await BUNDLES.get(reader, tenant, bundle_id)
