"""The tenant, as every command and query takes it first."""

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Tenant:
    """Whose rows may be seen and changed."""

    org_id: UUID
    org_slug: str
