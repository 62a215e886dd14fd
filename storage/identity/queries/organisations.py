"""Reading organisations. They are the tenants themselves, so these queries are not limited to one tenant."""

from uuid import UUID

from domain.identity.organisations import Organisation, OrganisationType
from storage.database import Reader
from storage.paging import Listing, Page, Where, Window, capped_count, fetch_page
from storage.rows import columns, from_row

organisation_of = from_row(Organisation, type=OrganisationType)

_ORGANISATIONS = Listing("organisation", columns(Organisation), "organisations", organisation_of)


async def organisation_by_slug_or_id(reader: Reader, name: str) -> Organisation | None:
    """Find an organisation by slug, else by id, as used in paths and headers; None if there is none."""
    row = await reader.row(f"{_ORGANISATIONS.select} WHERE slug = $1", name)
    if row is None and (org_id := _as_uuid(name)):
        row = await reader.row(f"{_ORGANISATIONS.select} WHERE id = $1", org_id)
    return organisation_of(row) if row else None


async def every_organisation(reader: Reader) -> list[Organisation]:
    """Return all organisations, oldest first, for operators' commands."""
    rows = await reader.rows(f"{_ORGANISATIONS.select} ORDER BY created_at, id")
    return [organisation_of(row) for row in rows]


async def list_organisations(reader: Reader, only: UUID | None, window: Window) -> Page[Organisation]:
    """List the organisation `only`, or all organisations for None, oldest first."""
    where = Where(("($1::uuid IS NULL OR id = $1)",), (only,))
    items, following = await fetch_page(reader, _ORGANISATIONS, where, window)
    number, capped = await capped_count(reader, "organisations", where)
    return Page(items, number, window, following, capped)


def _as_uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
