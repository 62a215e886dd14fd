"""Reading the public keys of whoever signs provenance."""

from uuid import UUID

from domain.errors import NotFound
from domain.facts.provenance import KeyAlgorithm, ProvenanceKey
from storage.database import Reader, Row
from storage.paging import Listing, Page, Window, capped_count, fetch_page, with_total
from storage.tenant import Tenant

KEY_COLUMNS = tuple(ProvenanceKey.__dataclass_fields__)

_KEYS = f"SELECT {', '.join(KEY_COLUMNS)} FROM provenance_keys"  # noqa: S608 - names of our own
_ACTIVE = ("org_id = $1", "archived_at IS NULL")


def key_of(row: Row) -> ProvenanceKey:
    """The key in a row of `provenance_keys`."""
    fields = {column: row[column] for column in KEY_COLUMNS}
    return ProvenanceKey(**(fields | {"algorithm": KeyAlgorithm(row["algorithm"])}))


_LISTING = Listing(_KEYS, "created_at", "id", key_of)


async def get_provenance_key(reader: Reader, tenant: Tenant, key_id: UUID) -> ProvenanceKey:
    """One key that counts. Raises NotFound, also for an archived one and for another organisation's."""
    row = await reader.row(f"{_KEYS} WHERE org_id = $1 AND id = $2 AND archived_at IS NULL", tenant.org_id, key_id)
    if row is None:
        raise NotFound(f"There is no provenance key {key_id}.")
    return key_of(row)


async def list_provenance_keys(reader: Reader, tenant: Tenant, window: Window) -> Page[ProvenanceKey]:
    """The keys that count, oldest first."""
    page = await fetch_page(reader, _LISTING, _ACTIVE, [tenant.org_id], window)
    count, capped = await capped_count(reader, "provenance_keys", _ACTIVE, [tenant.org_id])
    return with_total(page, count, capped=capped)


async def active_keys(reader: Reader, tenant: Tenant) -> list[ProvenanceKey]:
    """All keys that count, newest first; there are MAX_KEYS at most (domain/facts/provenance.py)."""
    where = " AND ".join(_ACTIVE)
    rows = await reader.rows(f"{_KEYS} WHERE {where} ORDER BY created_at DESC, id DESC", tenant.org_id)
    return [key_of(row) for row in rows]
