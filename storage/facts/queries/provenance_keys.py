"""Reading the public keys that verify provenance."""

from uuid import UUID

from domain.facts.provenance import KeyAlgorithm, ProvenanceKey
from domain.tenant import Tenant
from storage.database import Reader
from storage.paging import Listing, Page, Window
from storage.rows import columns, from_row

key_of = from_row(ProvenanceKey, algorithm=KeyAlgorithm)

_KEYS = Listing("provenance key", columns(ProvenanceKey), "provenance_keys", key_of, archivable=True)


async def get_provenance_key(reader: Reader, tenant: Tenant, key_id: UUID) -> ProvenanceKey:
    """Return one active key. Raises NotFound, also if it is archived or belongs to another organisation."""
    return await _KEYS.get(reader, tenant, key_id)


async def list_provenance_keys(reader: Reader, tenant: Tenant, window: Window) -> Page[ProvenanceKey]:
    """List the active keys, oldest first."""
    return await _KEYS.page(reader, tenant, window)


async def active_keys(reader: Reader, tenant: Tenant) -> list[ProvenanceKey]:
    """Return all active keys, newest first; there are at most MAX_KEYS (domain/facts/provenance.py)."""
    where = _KEYS.of(tenant)
    rows = await reader.rows(f"{_KEYS.select} WHERE {where} ORDER BY created_at DESC, id DESC", *where.values)
    return [key_of(row) for row in rows]
