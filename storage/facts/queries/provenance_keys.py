"""Reading the public keys of whoever signs provenance."""

from uuid import UUID

from domain.facts.provenance import KeyAlgorithm, ProvenanceKey
from domain.tenant import Tenant
from storage.database import Reader
from storage.paging import Listing, Page, Window
from storage.rows import columns, from_row

key_of = from_row(ProvenanceKey, algorithm=KeyAlgorithm)

_KEYS = Listing("provenance key", columns(ProvenanceKey), "provenance_keys", key_of, archivable=True)


async def get_provenance_key(reader: Reader, tenant: Tenant, key_id: UUID) -> ProvenanceKey:
    """One key that counts. Raises NotFound, also for an archived one and for another organisation's."""
    return await _KEYS.get(reader, tenant, key_id)


async def list_provenance_keys(reader: Reader, tenant: Tenant, window: Window) -> Page[ProvenanceKey]:
    """The keys that count, oldest first."""
    return await _KEYS.page(reader, tenant, window)


async def active_keys(reader: Reader, tenant: Tenant) -> list[ProvenanceKey]:
    """All keys that count, newest first; there are MAX_KEYS at most (domain/facts/provenance.py)."""
    where = _KEYS.of(tenant)
    rows = await reader.rows(f"{_KEYS.select} WHERE {where} ORDER BY created_at DESC, id DESC", *where.values)
    return [key_of(row) for row in rows]
