"""Reading organisations. They are the tenants themselves, so these queries are not limited to one tenant."""

from uuid import UUID

from domain.identity.organisations import Organisation, OrganisationType
from domain.tenant import Tenant
from storage.database import Reader, Row, Transaction
from storage.paging import Listing, Page, Where, Window, capped_count, fetch_page
from storage.rows import columns, from_row

organisation_of = from_row(Organisation, type=OrganisationType)

_ORGANISATIONS = Listing("organisation", columns(Organisation), "organisations", organisation_of)
_ACTIVE = "archived_at IS NULL"


async def organisation_by_slug_or_id(reader: Reader, name: str) -> Organisation | None:
    """Find an organisation by slug, else by id, as used in paths and headers; None if there is none."""
    row = await reader.row(f"{_ORGANISATIONS.select} WHERE slug = $1 AND {_ACTIVE}", name)
    if row is None and (org_id := _as_uuid(name)):
        row = await reader.row(f"{_ORGANISATIONS.select} WHERE id = $1 AND {_ACTIVE}", org_id)
    return organisation_of(row) if row else None


async def held_organisation(tx: Transaction, tenant: Tenant) -> Row | None:
    """Return the row of an organisation, also a deleted one, locked until the transaction ends; None if there is none.

    References to it, such as new rows of trails, need not wait.
    """
    return await tx.row("SELECT * FROM organisations WHERE id = $1 FOR NO KEY UPDATE", tenant.org_id)


async def every_organisation(reader: Reader) -> list[Organisation]:
    """Return all organisations, oldest first, deleted ones as well, whose ledgers are kept."""
    rows = await reader.rows(f"{_ORGANISATIONS.select} ORDER BY created_at, id")
    return [organisation_of(row) for row in rows]


async def active_organisations(reader: Reader) -> list[Organisation]:
    """Return the organisations that are not deleted, oldest first, for operators' commands."""
    rows = await reader.rows(f"{_ORGANISATIONS.select} WHERE {_ACTIVE} ORDER BY created_at, id")
    return [organisation_of(row) for row in rows]


async def list_organisations(reader: Reader, only: UUID | None, window: Window) -> Page[Organisation]:
    """List the organisation `only`, or all organisations for None, oldest first."""
    where = Where(("($1::uuid IS NULL OR id = $1)", _ACTIVE), (only,))
    items, following = await fetch_page(reader, _ORGANISATIONS, where, window)
    number, capped = await capped_count(reader, "organisations", where)
    return Page(items, number, window, following, capped)


_NAMED = f"name IS NOT NULL AND {_ACTIVE}"
_CONTENTS = {
    "flows": "flows WHERE org_id = $1 AND archived_at IS NULL",
    "trails": "trails WHERE org_id = $1",
    "environments": "environments WHERE org_id = $1 AND archived_at IS NULL",
    "webhook configs": "webhook_configs WHERE org_id = $1 AND archived_at IS NULL",
    "notification rules": "notification_rules WHERE org_id = $1 AND archived_at IS NULL",
    "unanswered invitations": "invitations WHERE org_id = $1 AND accepted_at IS NULL AND revoked_at IS NULL",
    "members": "memberships WHERE org_id = $1 AND kind = 'user' AND archived_at IS NULL",
    "service accounts": f"principals WHERE org_id = $1 AND kind = 'service' AND {_NAMED}",
    "workload identities": "workload_identities WHERE org_id = $1 AND archived_at IS NULL",
    "API keys": "api_keys WHERE org_id = $1 AND revoked_at IS NULL",
    "single sign-on configurations": "sso_configs WHERE org_id = $1 AND archived_at IS NULL",
    "users": f"principals WHERE org_id = $1 AND kind = 'user' AND {_NAMED}",
}
_MANY = 1000
"""Contents are counted up to this number."""
_COUNTS = " UNION ALL ".join(
    f"SELECT '{noun}' AS noun, (SELECT count(*) FROM (SELECT FROM {source} LIMIT {_MANY}) AS counted) AS number"
    for noun, source in _CONTENTS.items()
)


async def contents_of(reader: Reader, tenant: Tenant) -> dict[str, int]:
    """Return what belongs to an organisation, by noun, each up to 1,000; nothing of which there is none."""
    rows = await reader.rows(_COUNTS, tenant.org_id)
    return {row["noun"]: row["number"] for row in rows if row["number"]}


def _as_uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
